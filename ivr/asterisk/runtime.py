"""Asterisk as a process: started from a rendered configuration, asked, stopped."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

COMMAND_TIMEOUT_S = 10.0


class AsteriskProcessError(Exception):
    """Asterisk's own command line did not answer."""


def daemon_command(command: Sequence[str], etc_dir: Path) -> list[str]:
    """The command that runs Asterisk in the foreground with the configuration in `etc_dir`."""
    return [*command, "-C", str(etc_dir / "asterisk.conf"), "-f"]


async def console(command: Sequence[str], etc_dir: Path, words: str) -> str:
    """Ask the running Asterisk by its console; AsteriskProcessError when it does not answer."""
    process = await asyncio.create_subprocess_exec(
        *command,
        "-C",
        str(etc_dir / "asterisk.conf"),
        "-rx",
        words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise AsteriskProcessError(f"no answer to {words!r} within {COMMAND_TIMEOUT_S} s") from None
    text = output.decode(errors="replace")
    if process.returncode:
        raise AsteriskProcessError(text.strip() or f"exit status {process.returncode}")
    return text


async def fully_booted(command: Sequence[str], etc_dir: Path) -> bool:
    """Whether Asterisk has started entirely."""
    try:
        return "fully booted" in await console(command, etc_dir, "core waitfullybooted")
    except AsteriskProcessError:
        return False

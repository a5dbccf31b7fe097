"""The consultants' telephones in a running Asterisk: its files written again, its modules reloaded.

That is done only where Asterisk runs from this state folder. Where somebody else configures it,
what is missing there is told.
"""

import asyncio
import fcntl
import socket
from collections.abc import Sequence

from ivr.asterisk.ami import AmiClient
from ivr.asterisk.ami_wire import AmiActionError
from ivr.errors import HotlineError
from ivr.rendering import TELEPHONE_FILES, TELEPHONE_MODULES, render_telephones
from ivr.routing.skills import Consultant
from ivr.secrets import Secrets
from ivr.settings import Settings

TAKES_S = 3.0
"""How long Asterisk may take to know a new telephone once it has been told to read its files."""
LOOK_EVERY_S = 0.1


class Telephones:
    """The telephones that Asterisk has, beside those it should have."""

    def __init__(self, settings: Settings, ami: AmiClient):
        self._settings, self._ami = settings, ami
        self._run_dir = settings.state_dir / "asterisk"
        self.remains = ""
        """What somebody has to do in Asterisk's configuration, "" for nothing."""

    @property
    def reachable(self) -> bool:
        """Whether Asterisk can be told now."""
        return self._ami.connected

    async def bring(self, consultants: Sequence[Consultant], gone: Sequence[str] = ()) -> None:
        """Let Asterisk have these telephones and no more those of `gone` (extensions).

        Calls go on undisturbed. Sets `remains`. Raises AmiError: to be tried again.
        """
        etc_dir = self._run_dir / "etc"
        ours, changed = await asyncio.to_thread(self._is_ours), False
        reason = f"it does not run from {etc_dir}"
        if ours:
            try:
                changed = await asyncio.to_thread(self._write, consultants)
            except (HotlineError, OSError) as error:
                ours, reason = False, f"{etc_dir} could not be written: {error}"
        wanted = [consultant.id for consultant in consultants]
        missing, left = await self._compare(wanted, gone, within_s=0.0)
        # Only if need be: after a reload Asterisk does not know for a moment that 112 is there.
        if ours and (changed or missing or left):
            reason = f"though {etc_dir} names them: see its log"
            # The manager's class "system", which the service has anyway, allows this; "config", the
            # other one that does, would also allow it to write Asterisk's files.
            for module in TELEPHONE_MODULES:
                await self._ami.action("Reload", {"Module": module})
            missing, left = await self._compare(wanted, gone, within_s=TAKES_S)
        self.remains = _remains(missing, left, reason)

    def _write(self, consultants: Sequence[Consultant]) -> bool:
        """Write the files; True when one of them is another than before."""
        with (self._run_dir / "etc.lock").open("w") as lock:  # several services may share it
            fcntl.flock(lock, fcntl.LOCK_EX)
            secrets = Secrets(self._settings.state_dir / "secrets.json")
            secrets.ensure(["ami"])
            return bool(render_telephones(self._settings, consultants, secrets))

    def _is_ours(self) -> bool:
        """Whether an Asterisk runs from this folder: its console answers there."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as console:
            try:
                console.connect(str(self._run_dir / "asterisk.ctl"))
            except OSError:
                return False
        return True

    async def _compare(
        self, wanted: Sequence[str], gone: Sequence[str], *, within_s: float
    ) -> tuple[list[str], list[str]]:
        """Tell which telephones Asterisk lacks, and which it still has."""
        clock = asyncio.get_running_loop()
        until = clock.time() + within_s
        while True:
            # Not by device states: Asterisk keeps that of a telephone it has once forgotten.
            try:
                listed = await self._ami.list_action("PJSIPShowEndpoints")
            except AmiActionError:  # a configuration of somebody else's that does not tell
                return [], []
            known = {endpoint.get("ObjectName") for endpoint in listed}
            missing = [one for one in wanted if one not in known]
            left = [one for one in gone if one in known]
            if not (missing or left) or clock.time() >= until:
                return missing, left
            await asyncio.sleep(LOOK_EVERY_S)


def _remains(missing: Sequence[str], left: Sequence[str], reason: str) -> str:
    parts = [
        f"{what} {', '.join(extensions)}"
        for what, extensions in (
            ("lacks the telephones", missing), ("still has the telephones", left)
        )
        if extensions
    ]  # fmt: skip
    if not parts:
        return ""
    modules = ", ".join(f"`module reload {name}`" for name in TELEPHONE_MODULES)
    return (
        f"Asterisk {' and '.join(parts)} ({reason}): change its {' and '.join(TELEPHONE_FILES)}, "
        f"then say {modules} at its console"
    )

"""Find an Asterisk on this machine, or unpack one beside the project: no root, no service.

    python -m ivr.asterisk.install .hotline        (what the set-up calls)

The packages come from the archive the machine's own apt uses, checked by apt's signatures, and
are unpacked (not installed) into `<state>/asterisk-dist`. What runs from there is started through
the unpacked loader, with the libraries it was built with, whatever the machine's own are.
"""

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ivr.asterisk.apt_sources import parse_version
from ivr.asterisk.packages import (
    MINIMUM,
    InstallError,
    Report,
    extract,
    fetch,
    machine_origin,
)
from ivr.errors import HotlineError

FOLDER = "asterisk-dist"
COMPLETE = ".complete"
"""Written last: a folder without it is not used."""
SOUNDS, MUSIC = "asterisk-core-sounds-en-wav", "asterisk-moh-opsound-wav"
PACKAGES = ("asterisk", SOUNDS, MUSIC)
VERSION_DEADLINE_S = 10.0
_PLACES = {
    "x86_64": ("x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
    "aarch64": ("aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
}


@dataclass(frozen=True, slots=True)
class AsteriskInstall:
    """An Asterisk that can be started."""

    command: tuple[str, ...]
    """Put `-C <asterisk.conf> ...` behind it."""
    modules_dir: Path
    data_dir: Path
    """Holds `documentation`, `sounds`, `moh`."""
    version: str
    origin: str
    """ "system" or "unpacked"."""

    @property
    def missing_packages(self) -> tuple[str, ...]:
        """Name the packages whose files callers would miss (sounds, music on hold)."""
        places = {SOUNDS: self.data_dir / "sounds", MUSIC: self.data_dir / "moh"}
        return tuple(n for n, place in places.items() if next(place.rglob("*.*"), None) is None)


def find_asterisk(state_dir: Path) -> AsteriskInstall | None:
    """Find the system's Asterisk (20 or newer), else the unpacked one, else None."""
    return _system() or _unpacked(state_dir / FOLDER)


def _system() -> AsteriskInstall | None:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    program = shutil.which("asterisk", path=path)
    if program is None:
        return None
    version = _version_of((program,))
    if parse_version(version) < MINIMUM:
        return None
    triplet = _places()[0]
    prefix = Path(program).resolve().parents[1]
    modules = _first(
        prefix / "lib" / triplet / "asterisk/modules",
        prefix / "lib/asterisk/modules",
        prefix / "lib64/asterisk/modules",
        holds="res_pjsip.so",
    )
    data = _first(
        prefix / "share/asterisk",
        Path("/usr/share/asterisk"),
        Path("/var/lib/asterisk"),
        holds="documentation",
    )
    if modules is None or data is None:
        return None
    return AsteriskInstall((program,), modules, data, version, "system")


def _first(*folders: Path, holds: str) -> Path | None:
    return next((folder for folder in folders if (folder / holds).exists()), None)


def _unpacked(root: Path) -> AsteriskInstall | None:
    try:
        version = json.loads((root / COMPLETE).read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return _in_folder(root.resolve(), str(version))


def _in_folder(root: Path, version: str) -> AsteriskInstall:
    """Describe what is unpacked in `root`: started through its own loader."""
    triplet, loader_name = _places()
    loader = _first(
        *(root / place for place in (f"usr/lib/{triplet}", "usr/lib64", "usr/lib", "lib64")),
        holds=loader_name,
    )
    if loader is None or not (root / "usr/sbin/asterisk").is_file():
        raise InstallError(f"{root}: holds no Asterisk for {platform.machine()}: delete the folder")
    places = (f"usr/lib/{triplet}", f"lib/{triplet}", f"usr/lib/{triplet}/pulseaudio")
    libraries = ":".join(str(root / place) for place in places if (root / place).is_dir())
    return AsteriskInstall(
        (str(loader / loader_name), "--library-path", libraries, str(root / "usr/sbin/asterisk")),
        root / f"usr/lib/{triplet}/asterisk/modules",
        root / "usr/share/asterisk",
        version,
        "unpacked",
    )


def _places() -> tuple[str, str]:
    """Give Debian's name of this machine's architecture and the name of its loader."""
    try:
        return _PLACES[platform.machine()]
    except KeyError:
        raise InstallError(
            f"no Asterisk can be unpacked for {platform.machine()}: install Asterisk {MINIMUM} "
            "or newer yourself"
        ) from None


def _version_of(command: tuple[str, ...]) -> str:
    """Ask `asterisk -V`; "" when it does not answer."""
    try:
        done = subprocess.run(
            [*command, "-V"],
            capture_output=True,
            text=True,
            timeout=VERSION_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().removeprefix("Asterisk ") if done.returncode == 0 else ""


def unpack(state_dir: Path, report: Report = lambda _what, _percent: None) -> AsteriskInstall:
    """Fetch and unpack Asterisk into `<state>/asterisk-dist`; kept as it is when it is whole.

    It appears under its name only when it has answered with its version. Blocking.
    Raises InstallError.
    """
    for tool in ("apt-get", "apt-cache", "dpkg-deb", "dpkg"):
        if shutil.which(tool) is None:
            raise InstallError(
                f"there is no {tool} here to fetch Asterisk with: install Asterisk {MINIMUM} or "
                "newer from your distribution or from source"
            )
    state_dir.mkdir(parents=True, exist_ok=True)
    root = state_dir / FOLDER
    with _alone(state_dir / f"{FOLDER}.lock"):
        if (there := _unpacked(root)) is not None:
            return there
        for rest in state_dir.glob(f"{FOLDER}.new-*"):  # of an unpacking that was broken off
            shutil.rmtree(rest, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix=f"{FOLDER}.new-", dir=state_dir)).resolve()
        try:
            origin = machine_origin()
            fetch(origin, PACKAGES, new / "apt", report)
            dist = new / "dist"
            extract(new / "apt", dist, report)
            version = _version_of(_in_folder(dist, "").command)
            if parse_version(version) < MINIMUM:
                raise InstallError(
                    f"the Asterisk unpacked from {origin.suite} does not run here "
                    f"(answered {version!r} to -V)"
                )
            (dist / COMPLETE).write_text(
                json.dumps({"version": version, "suite": origin.suite}) + "\n", encoding="utf-8"
            )
            shutil.rmtree(root, ignore_errors=True)
            dist.rename(root)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        return _in_folder(root.resolve(), version)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def progress_line() -> Iterator[Report]:
    """Show one line of progress on standard error; without a terminal, a line for each step."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        before = ""

        def report(what: str, percent: float) -> None:
            nonlocal before
            if what != before and not console.is_terminal:
                console.print(what, highlight=False)
            before = what
            bar.update(task, description=what, total=100, completed=max(percent, 0.0))

        yield report


def main(state_dir: Path) -> AsteriskInstall:
    """Give the Asterisk there is, or unpack one, showing how far it is."""
    if (found := find_asterisk(state_dir)) is not None:
        return found
    with progress_line() as report:
        return unpack(state_dir, report)


if __name__ == "__main__":
    try:
        found = main(Path(sys.argv[1] if len(sys.argv) > 1 else ".hotline"))
    except HotlineError as error:
        sys.exit(f"asterisk: {error}")
    missing = "".join(f"; missing: {name}" for name in found.missing_packages)
    Console(stderr=True).print(f"Asterisk {found.version} ({found.origin}){missing}")

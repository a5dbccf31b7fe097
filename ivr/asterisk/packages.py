"""Fetch Asterisk's packages with the machine's own apt and unpack them, without root.

apt works in a folder of its own here: nothing is installed, none of the machine's package lists or
settings are changed, and its signature checks stay on.
"""

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ivr.asterisk.apt_sources import (
    Source,
    archive_of,
    machine_sources,
    own_candidate,
    parse_os_release,
)
from ivr.errors import HotlineError

MINIMUM = 20
"""The oldest major version with all the applications the dialplans use."""
SUITE = "forky"
"""The Debian release to take Asterisk from where the machine's own has none."""
MIRROR_VARIABLE = "HOTLINE_DEBIAN_MIRROR"
KEYRINGS = "/usr/share/keyrings"
DEADLINE_S = 1800.0

Report = Callable[[str, float], None]
"""Takes what is being done and how much of it is done, 0-100 (negative: unknown)."""


class InstallError(HotlineError):
    """There is no usable Asterisk, and why none could be unpacked."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where packages are unpacked from."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str

    def line(self) -> str:
        """Write it as an entry of `sources.list`."""
        option = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {option}{self.uri} {self.suite} {' '.join(self.components)}\n"


def choose_origin(
    release: Mapping[str, str],
    sources: list[Source],
    madison: str,
    override: str,
    *,
    keyring: Callable[[str], str],
) -> Origin:
    """Choose where Asterisk is taken from. Pure but for `keyring` (distribution to file or "").

    The machine's own release where it has Asterisk 20 or newer, else Debian's SUITE. `override`
    is the address of another Debian mirror. Raises InstallError.
    """
    distribution, codename = release.get("ID", ""), release.get("VERSION_CODENAME", "")
    if override:
        return Origin(override.rstrip("/"), SUITE, ("main",), keyring("debian"))
    own = archive_of(sources, distribution, codename)
    advice = f"install Asterisk {MINIMUM} or newer yourself, or name a Debian mirror in "
    if own is None:
        raise InstallError(
            f"the apt sources of this machine ({distribution or 'unknown'} {codename}) name no "
            f"Debian or Ubuntu archive: {advice}{MIRROR_VARIABLE}"
        )
    signed_by = own.signed_by or keyring(distribution)
    if own_candidate(madison, own.uri, codename) >= MINIMUM:
        return Origin(own.uri, codename, own.components, signed_by)
    if distribution == "debian":
        return Origin(own.uri, SUITE, ("main",), signed_by)
    raise InstallError(
        f"{distribution} {codename} has no Asterisk {MINIMUM} or newer in its archive (was "
        f"`apt-get update` run?): {advice}{MIRROR_VARIABLE} (needs the package "
        "debian-archive-keyring)"
    )


def keyring_of(distribution: str) -> str:
    """Find the keyring of a distribution's archive; "" where it is not installed."""
    names = [f"{distribution}-archive-keyring.{ending}" for ending in ("pgp", "gpg")]
    found = (Path(KEYRINGS) / name for name in names)
    return next((str(path) for path in found if path.is_file()), "")


def machine_origin() -> Origin:
    """Choose for this machine; see `choose_origin`."""
    release = parse_os_release(Path("/etc/os-release").read_text(encoding="utf-8"))
    done = subprocess.run(
        ["apt-cache", "madison", "asterisk"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    override = os.environ.get(MIRROR_VARIABLE, "")
    return choose_origin(release, machine_sources(), done.stdout, override, keyring=keyring_of)


def fetch(origin: Origin, packages: Sequence[str], apt: Path, report: Report) -> None:
    """Let apt resolve and download into a world of its own, where nothing is installed."""
    for folder in ("lists/partial", "archives/partial", "none"):
        (apt / folder).mkdir(parents=True)
    (apt / "status").touch()
    (apt / "sources.list").write_text(origin.line(), encoding="utf-8")
    (apt / "apt.conf").write_text(_apt_conf(apt), encoding="utf-8")
    apt_get = ["apt-get", "-c", str(apt / "apt.conf"), "-q", "-y"]
    what = f"package lists of {origin.suite}"
    _run_apt([*apt_get, "update", "--error-on=any"], f"fetch the {what}", report)
    install = [*apt_get, "--download-only", "--no-install-recommends", "install", *packages]
    _run_apt(install, f"fetch Asterisk from {origin.suite}", report)


def _apt_conf(apt: Path) -> str:
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()
    return f"""\
#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "";
APT::Install-Recommends "false";
APT::Get::AllowUnauthenticated "false";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false"; // a mirror's copy of a moving suite can be some weeks old
Acquire::Retries "3";
Dir::State::Lists "{apt}/lists";
Dir::State::status "{apt}/status";
Dir::Cache "{apt}";
Dir::Cache::archives "{apt}/archives";
Dir::Etc::SourceList "{apt}/sources.list";
Dir::Etc::SourceParts "{apt}/none";
Dir::Etc::Preferences "{apt}/no-preferences";
Dir::Etc::PreferencesParts "{apt}/none";
Dir::Log "{apt}";
"""


def _run_apt(command: list[str], what: str, report: Report) -> None:
    report(what, -1)
    log: list[str] = []
    with subprocess.Popen(
        [*command, "-o", "APT::Status-Fd=1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", env={**os.environ, "LC_ALL": "C.UTF-8"},
    ) as process:  # fmt: skip
        for line in process.stdout or ():
            if status := re.match(r"dlstatus:\d+:([\d.]+):", line):
                report(what, float(status[1]))
            elif line.strip():
                log.append(line.strip())
    if process.returncode:
        errors = [line for line in log if line.startswith("E:")] or log[-3:]
        raise InstallError(f"could not {what}: {' '.join(errors)}")


def extract(apt: Path, dist: Path, report: Report) -> None:
    """Unpack what `fetch` has brought. Raises InstallError."""
    packages = sorted((apt / "archives").glob("*.deb"))
    for done, package in enumerate(packages):
        report("unpack Asterisk", 100 * done / len(packages))
        result = subprocess.run(
            ["dpkg-deb", "--extract", str(package), str(dist)],
            capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        if result.returncode:
            raise InstallError(f"could not unpack {package.name}: {result.stderr.strip()}")
    report("unpack Asterisk", 100)

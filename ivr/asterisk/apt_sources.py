"""The Debian or Ubuntu archive this machine already uses, read from its apt sources."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

APT = Path("/etc/apt")
_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<rest>\S.*)")


@dataclass(frozen=True, slots=True)
class Source:
    """One address apt fetches binary packages from."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""
    """Path of a keyring, or "" for apt's own."""

    def is_archive_of(self, distribution: str, codename: str) -> bool:
        """Whether this is the distribution's own archive, not somebody else's packages for it."""
        names = {"ubuntu", "ubuntu-ports"} if distribution == "ubuntu" else {distribution}
        aliases = {codename}
        if distribution == "debian":
            aliases |= {"stable", "testing", "unstable", "sid"}
        return (
            self.suite in aliases
            and "main" in self.components
            and bool(names & set(re.split(r"[/:]+", self.uri)[1:]))
        )


def parse_list(text: str) -> list[Source]:
    """Read one-line entries (`sources.list`)."""
    found = []
    for line in text.splitlines():
        match = _LINE.match(line.split("#", 1)[0].strip())
        if not match:
            continue
        options = dict(
            pair.partition("=")[::2] for pair in (match["options"] or "").split() if "=" in pair
        )
        words = match["rest"].split()
        if len(words) >= 2:
            key = options.get("signed-by", "").split(",")[0]
            found.append(Source(words[0], words[1], tuple(words[2:]), _keyring(key)))
    return found


def parse_deb822(text: str) -> list[Source]:
    """Read stanzas (`*.sources`): every address and suite of each, without disabled ones."""
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in " \t":
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split():
            continue
        if fields.get("enabled", "yes").lower() in {"no", "false", "0"}:
            continue
        key, parts = fields.get("signed-by", ""), tuple(fields.get("components", "").split())
        found += [
            Source(uri, suite, parts, _keyring(key))
            for uri in fields.get("uris", "").split()
            for suite in fields.get("suites", "").split()
        ]
    return found


def _keyring(value: str) -> str:
    first = value.split(maxsplit=1)[0] if value.split() else ""
    return first if first.startswith("/") else ""  # a key written into the file is not a path


def machine_sources(apt: Path = APT) -> list[Source]:
    """Read all of this machine's sources; `mirror+file:` lists give their first address."""
    found: list[Source] = []
    for path in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))):
        parse = {".list": parse_list, ".sources": parse_deb822}.get(path.suffix)
        if parse is not None and path.is_file():
            found += parse(path.read_text(encoding="utf-8", errors="replace"))
    return [
        Source(uri, source.suite, source.components, source.signed_by)
        for source in found
        if (uri := _plain(source.uri))
    ]


def _plain(uri: str) -> str:
    if uri.startswith(("http://", "https://", "file:")):
        return uri.rstrip("/")
    if uri.startswith("mirror+file:"):
        path = Path("/" + uri.removeprefix("mirror+file:").lstrip("/"))
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
            return next((_plain(line.split()[0]) for line in lines if line.startswith("http")), "")
    return ""


def archive_of(sources: Iterable[Source], distribution: str, codename: str) -> Source | None:
    """Pick the distribution's own archive; the release itself, not its updates."""
    fitting = [source for source in sources if source.is_archive_of(distribution, codename)]
    exact = [source for source in fitting if source.suite == codename]
    return next(iter(exact or fitting), None)


def parse_os_release(text: str) -> dict[str, str]:
    """Read `/etc/os-release`: ID, VERSION_CODENAME, VERSION_ID, ..."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def parse_version(text: str) -> int:
    """Read the major version of Asterisk from `asterisk -V` or a package version; 0 if none.

    "Asterisk 22.10.1~dfsg+~cs6" and "1:20.6.0~dfsg" are 22 and 20; "GIT-master-..." is newest.
    """
    if "GIT-master" in text:
        return 99
    match = re.search(r"(?:^|Asterisk |GIT-|certified-|\d:)(\d{1,3})(?=[.\-~/]|$|\s)", text.strip())
    return int(match[1]) if match else 0


def own_candidate(madison: str, mirror: str, codename: str) -> int:
    """Read `apt-cache madison asterisk`: the major version in this archive's release; 0 if none."""
    best = 0
    for line in madison.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 3 or cells[0] != "asterisk" or not cells[2].endswith("Packages"):
            continue
        place = cells[2].split()
        if place[0].rstrip("/") == mirror and place[1].split("/")[0] == codename:
            best = max(best, parse_version(cells[1]))
    return best

from pathlib import Path

import pytest

from ivr.asterisk import install
from ivr.asterisk.apt_sources import (
    Source,
    archive_of,
    machine_sources,
    own_candidate,
    parse_deb822,
    parse_list,
    parse_os_release,
    parse_version,
)
from ivr.asterisk.install import find_asterisk, unpack
from ivr.asterisk.packages import MIRROR_VARIABLE, InstallError, choose_origin

DEB822 = """\
# the archive
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: https://packages.example/linux/debian
Suites: bookworm
Components: stable
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
"""
LINES = """\
# deb http://off.example/debian bookworm main
deb http://mirror.example/debian/ bookworm main contrib  # the archive
deb [arch=amd64 signed-by=/k/one.gpg,/k/two.gpg] https://mirror.example/debian trixie main
deb-src http://mirror.example/debian bookworm main
deb [trusted=yes] file:/srv/packages ./
deb
"""


def test_deb822_stanzas_give_each_address_and_suite():
    found = parse_deb822(DEB822)
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert found == [
        Source("http://mirror.example/debian", "bookworm", ("main", "contrib"), key),
        Source("http://mirror.example/debian", "bookworm-updates", ("main", "contrib"), key),
        Source("http://mirror.example/debian-security", "bookworm-security", ("main",)),
        Source("https://packages.example/linux/debian", "bookworm", ("stable",)),
    ]


def test_one_line_entries_are_read_with_their_options():
    assert parse_list(LINES) == [
        Source("http://mirror.example/debian/", "bookworm", ("main", "contrib")),
        Source("https://mirror.example/debian", "trixie", ("main",), "/k/one.gpg"),
        Source("file:/srv/packages", "./", ()),
    ]


def test_the_archive_itself_is_told_from_others():
    others = [
        Source("https://packages.example/linux/debian", "bookworm", ("stable",)),
        Source("https://packages.example/node", "bookworm", ("main",)),
        Source("http://mirror.example/debian-security", "bookworm-security", ("main",)),
    ]
    archive = Source("http://mirror.example/debian", "bookworm", ("main",))
    assert archive_of([*others, archive], "debian", "bookworm") == archive
    assert archive_of(others, "debian", "bookworm") is None
    ports = Source("http://ports.example/ubuntu-ports", "noble", ("main", "universe"))
    assert archive_of([*others, ports], "ubuntu", "noble") == ports
    stable = Source("http://mirror.example/debian", "stable", ("main",))
    assert archive_of([stable], "debian", "bookworm") == stable
    cached = Source("http://cache:3142/x.example/debian", "bookworm", ("main",))
    assert archive_of([cached], "debian", "bookworm") == cached


def test_all_files_of_apt_are_read(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.example/debian/ bookworm main\n")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(
        f"Types: deb\nURIs: mirror+file://{tmp_path}/mirrors\nSuites: trixie\nComponents: main\n"
    )
    (tmp_path / "mirrors").write_text("# one\nhttp://b.example/debian\tpriority:1\n")
    (tmp_path / "sources.list.d" / "old.save").write_text("deb http://c.example/debian x main\n")
    (tmp_path / "sources.list.d" / "cd.list").write_text("deb cdrom:[Debian]/ bookworm main\n")
    assert [source.uri for source in machine_sources(tmp_path)] == [
        "http://a.example/debian",
        "http://b.example/debian",
    ]


@pytest.mark.parametrize(
    ("text", "major"),
    [
        ("Asterisk 22.10.1+dfsg+~cs6.17.60671434-1", 22),
        ("22.10.1+dfsg", 22),
        ("1:20.6.0~dfsg+~cs6.13.40431414-2build5", 20),
        ("Asterisk 18.10.0~dfsg", 18),
        ("Asterisk certified-20.7-cert2", 20),
        ("Asterisk GIT-20-abcdef", 20),
        ("Asterisk GIT-master-abcdef", 99),
        ("", 0),
        ("not found", 0),
    ],
)
def test_versions(text, major):
    assert parse_version(text) == major


def test_only_the_release_itself_counts_as_having_asterisk():
    madison = """\
  asterisk | 1:20.6.0~dfsg-2 | http://mirror.example/ubuntu noble/universe amd64 Packages
  asterisk | 1:22.1.0-1 | http://other.example/ubuntu noble/main amd64 Packages
  asterisk | 1:20.6.0~dfsg-2 | http://mirror.example/ubuntu noble/universe Sources
"""
    assert own_candidate(madison, "http://mirror.example/ubuntu", "noble") == 20
    assert own_candidate(madison, "http://mirror.example/ubuntu", "jammy") == 0
    assert own_candidate("", "http://mirror.example/ubuntu", "noble") == 0


def test_os_release_is_read():
    text = 'ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
    assert parse_os_release(text)["ID"] == "debian"
    assert parse_os_release(text)["PRETTY_NAME"] == "Debian GNU/Linux 12 (bookworm)"


DEBIAN = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
UBUNTU = {"ID": "ubuntu", "VERSION_CODENAME": "noble"}
ARCHIVE = Source("http://mirror.example/debian", "bookworm", ("main", "contrib"), "/k/d.gpg")
UBUNTU_ARCHIVE = Source("http://mirror.example/ubuntu", "noble", ("main", "universe"))
MADISON = "asterisk | 1:20.6.0 | http://mirror.example/ubuntu noble/universe amd64 Packages"


def keyring(distribution: str) -> str:
    return f"/k/{distribution}.gpg"


def test_debian_without_asterisk_takes_it_from_the_next_release():
    origin = choose_origin(DEBIAN, [ARCHIVE], "", "", keyring=keyring)
    assert origin.line() == ("deb [signed-by=/k/d.gpg] http://mirror.example/debian forky main\n")


def test_ubuntu_takes_its_own():
    origin = choose_origin(UBUNTU, [UBUNTU_ARCHIVE], MADISON, "", keyring=keyring)
    assert origin.line() == (
        "deb [signed-by=/k/ubuntu.gpg] http://mirror.example/ubuntu noble main universe\n"
    )


def test_a_named_mirror_comes_first_and_the_rest_is_an_error():
    origin = choose_origin(UBUNTU, [], "", "http://m.example/debian/", keyring=lambda _: "")
    assert origin.line() == "deb http://m.example/debian forky main\n"
    with pytest.raises(InstallError, match="HOTLINE_DEBIAN_MIRROR"):
        choose_origin(UBUNTU, [UBUNTU_ARCHIVE], "", "", keyring=keyring)
    with pytest.raises(InstallError, match="no Debian or Ubuntu archive"):
        choose_origin({"ID": "alpine"}, [], "", "", keyring=keyring)


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def no_system(monkeypatch):
    monkeypatch.setattr(install, "_system", lambda: None)


def test_a_system_asterisk_is_used_when_it_is_new_enough(tmp_path, monkeypatch):
    triplet = install._places()[0]
    modules = tmp_path / "lib" / triplet / "asterisk/modules"
    modules.mkdir(parents=True)
    (modules / "res_pjsip.so").touch()
    data = tmp_path / "share/asterisk"
    (data / "documentation").mkdir(parents=True)
    (data / "sounds/en").mkdir(parents=True)
    (data / "sounds/en/hello.wav").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}/sbin")
    program(tmp_path / "sbin/asterisk", "echo Asterisk 20.6.0")
    found = find_asterisk(tmp_path / "state")
    assert found is not None
    assert (found.version, found.origin, found.modules_dir) == ("20.6.0", "system", modules)
    assert found.missing_packages == ("asterisk-moh-opsound-wav",)
    program(tmp_path / "sbin/asterisk", "echo Asterisk 18.10.0")
    assert find_asterisk(tmp_path / "state") is None
    program(tmp_path / "sbin/asterisk", "exit 1")
    assert find_asterisk(tmp_path / "state") is None


@pytest.mark.usefixtures("no_system")
def test_an_unpacked_asterisk_is_used_only_when_complete(tmp_path):
    triplet, loader = install._places()
    root = tmp_path / install.FOLDER
    program(root / "usr/sbin/asterisk", "")
    program(root / f"usr/lib/{triplet}/{loader}", "")
    assert find_asterisk(tmp_path) is None
    (root / install.COMPLETE).write_text("{")
    assert find_asterisk(tmp_path) is None
    (root / install.COMPLETE).write_text('{"version": "22.10.1"}')
    found = find_asterisk(tmp_path)
    assert found is not None
    assert found.command[1] == "--library-path"
    assert found.command[-1] == str(root / "usr/sbin/asterisk")
    assert (found.version, found.origin) == ("22.10.1", "unpacked")


@pytest.mark.usefixtures("no_system")
@pytest.mark.parametrize(
    ("apt_get", "message"),
    [
        ("echo 'E: The archive is away' >&2; exit 100", "The archive is away"),
        ("exit 0", "holds no Asterisk"),
    ],
)
def test_a_failed_unpacking_leaves_nothing_half_done(tmp_path, monkeypatch, apt_get, message):
    state, tools = tmp_path / "state", tmp_path / "bin"
    program(tools / "apt-get", apt_get)
    program(tools / "apt-cache", "exit 0")
    program(tools / "dpkg", "echo amd64")
    program(tools / "dpkg-deb", "exit 0")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv(MIRROR_VARIABLE, "http://m.example/debian")
    (state / f"{install.FOLDER}.new-rest" / "usr").mkdir(parents=True)
    steps: list[str] = []
    with pytest.raises(InstallError, match=message):
        unpack(state, lambda what, _percent: steps.append(what))
    assert [path.name for path in state.iterdir()] == [f"{install.FOLDER}.lock"]
    assert steps[0] == "fetch the package lists of forky"
    assert find_asterisk(state) is None


def test_without_apt_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InstallError, match="install Asterisk 20 or newer"):
        unpack(tmp_path)

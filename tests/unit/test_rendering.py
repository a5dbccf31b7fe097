"""Asterisk's configuration as it is written out."""

import re
from pathlib import Path

import pytest

from ivr.asterisk.install import AsteriskInstall
from ivr.loading import load_plan
from ivr.rendering import render
from ivr.secrets import Secrets
from ivr.settings_file import load_settings

ROOT = Path(__file__).parents[2]
NODES = """
[nodes.peers]
a = "127.0.0.11:5060"
b = "127.0.0.12:5070"
c = "127.0.0.13"
"""


def rendered(folder: Path, more: str = "") -> dict[str, str]:
    """The files of a node named "a", by name."""
    config = folder / "hotline.toml"
    files = "".join(f'{name} = "{ROOT}/{name}"\n' for name in ("queues", "prompts", "dialplans"))
    config.write_text(
        f'[service]\nstate_dir = "{folder}"\n[files]\n{files}asterisk = "{ROOT}/config/asterisk"\n'
        + more
    )
    settings = load_settings(config)
    data = folder / "share"
    for name in ("documentation", "moh"):
        (data / name).mkdir(parents=True)
    install = AsteriskInstall(("asterisk",), data, data, "22.10.1", "unpacked")
    consultants = load_plan(settings.files.queues).consultants
    etc = render(settings, consultants, install, Secrets(folder / "secrets.json"))
    return {file.name: file.read_text() for file in etc.iterdir()}


def sections(text: str, name: str) -> dict[str, dict[str, str]]:
    """The sections of one name, by their type."""
    found = re.findall(rf"^\[{re.escape(name)}\]\n((?:.+\n)+)", text, re.MULTILINE)
    each = [dict(line.split(" = ", 1) for line in body.splitlines()) for body in found]
    return {one["type"]: one for one in each}


def test_a_peer_is_known_by_its_address_and_reaches_telephones_only(tmp_path: Path) -> None:
    files = rendered(tmp_path, NODES)
    peer = sections(files["pjsip.conf"], "node-b")
    assert peer["identify"]["match"] == "127.0.0.12"
    assert peer["aor"]["contact"] == "sip:127.0.0.12:5070"
    assert peer["endpoint"]["context"] == "from-nodes"
    assert "auth" not in peer
    assert sections(files["pjsip.conf"], "node-c")["identify"]["match"] == "127.0.0.13"
    assert sections(files["pjsip.conf"], "node-a") == {}, "a node is not its own peer"
    assert "PEERS = PJSIP/fallback@node-b&PJSIP/fallback@node-c\n" in files["extensions.conf"]
    assert "leavewhenempty = unavailable,invalid\n" in files["queues.conf"]


def test_a_node_alone_has_no_peers(tmp_path: Path) -> None:
    files = rendered(tmp_path)
    assert "[node-" not in files["pjsip.conf"]
    assert re.search(r"^PEERS = $", files["extensions.conf"], re.MULTILINE)
    assert "leavewhenempty = no\n" in files["queues.conf"]


@pytest.mark.parametrize("more", ["", NODES], ids=["alone", "peers"])
def test_every_included_dialplan_is_there_and_nothing_is_left_to_fill_in(
    tmp_path: Path, more: str
) -> None:
    files = rendered(tmp_path, more)
    for text in files.values():
        for included in re.findall(r'^#include "(.+)"', text, re.MULTILINE):
            assert included in files
        assert "@{" not in text

"""`hotline.toml` is refused with file, line and hint; the environment overrides it."""

from pathlib import Path

import pytest

from ivr.errors import ConfigError
from ivr.settings_file import load_settings

ROOT = Path(__file__).parents[2]


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "hotline.toml"
    file.write_text(text)
    return file


def test_the_project_s_own_file_is_in_order_and_shows_the_defaults() -> None:
    settings = load_settings(ROOT / "config" / "hotline.toml")
    assert settings.emergency.number == "112"
    assert "19115" in settings.trunks.numbers


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[redis]\nurll = 'x'\n", 2, ("unknown key redis.urll", "known here", "timeout_s")),
        ("\n[reddis]\nurl = 'x'\n", 2, ("unknown key reddis", "redis")),
        ("[service]\nmax_calls = 'many'\n", 2, ("service.max_calls", "'many'")),
        ("[asterisk]\n\nsip_port = 70000\n", 3, ("asterisk.sip_port", "65535", "70000")),
        ("[asterisk]\nagi_port = 0\n", 2, ("asterisk.agi_port",)),
        ("[asterisk]\nrtp_first = 20000\nrtp_last = 20001\n", 1, ("rtp_last",)),
        ("[asterisk]\nsip_host = 'a b'\n", 2, ("sip_host", "not an address")),
        ("[trunks]\nnumbers = ['19x']\n", 2, ("trunks.numbers", "not a telephone number")),
        ("[trunks]\nnumbers = ['19115,1,System(ls)']\n", 2, ("not a telephone number",)),
        ("[emergency]\ntrunk_a = 'host:99999'\n", 2, ("trunk_a", "host:port")),
        ("[emergency]\nnumber = '112&PJSIP/9'\n", 2, ("emergency.number",)),
        ("[service]\nnode = 'A B'\n", 2, ("service.node",)),
        ("[nodes.peers]\n'B C' = '127.0.0.7'\n", 1, ("nodes.peers.B C",)),
        ("[nodes.peers]\nb = '127.0.0.7:0'\n", 2, ("nodes.peers.b", "host:port")),
        ("\n[nodes]\npeers = {b = '127.0.0.2'}\n", 2, ("b has the address of a trunk",)),
        ("[nodes]\npeers = {b = '127.0.0.5:5061'}\n", 1, ("b has the address of a trunk",)),
        ("[nodes]\npeers = {b = '127.0.0.7', c = '127.0.0.7:5'}\n", 1, ("c has the address",)),
        ("[dialogue]\nlanguage = 'de'\n", 2, ("dialogue.language", "'de'")),
        ("[redis]\nurl = 'http://x'\n", 2, ("redis.url",)),
        ("[service]\nmax_calls = \n", 2, ("not TOML",)),
        ("[service\n", 1, ("not TOML",)),
        ("[service]\nnode='a'\nnode='b'\n", 3, ("not TOML",)),
    ],
)  # fmt: skip
def test_a_setting_is_refused(tmp_path: Path, text: str, line: int, words: tuple[str, ...]) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(file)
    message = str(caught.value)
    assert message.startswith(f"{file}:{line}: "), message
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_node_is_not_its_own_peer(tmp_path: Path) -> None:
    peers = "peers = {a = '127.0.0.7', b = '127.0.0.8:5070'}"
    settings = load_settings(write(tmp_path, f"[service]\nnode = 'b'\n[nodes]\n{peers}\n"))
    assert settings.peers == {"a": "127.0.0.7"}


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file.*--config"):
        load_settings(tmp_path / "no.toml")
    bad = tmp_path / "bad.toml"
    bad.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(bad)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path)


def test_the_environment_overrides_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "[redis]\nurl = 'redis://127.0.0.9:1/0'\ntimeout_s = 2\n")
    monkeypatch.setenv("HOTLINE_REDIS__URL", "redis://127.0.0.8:2/0")
    settings = load_settings(file)
    assert settings.redis.url == "redis://127.0.0.8:2/0"
    assert settings.redis.timeout_s == 2


def test_a_bad_value_in_the_environment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOTLINE_ASTERISK__SIP_PORT", "many")
    with pytest.raises(ConfigError, match=r"asterisk\.sip_port"):
        load_settings(write(tmp_path, ""))

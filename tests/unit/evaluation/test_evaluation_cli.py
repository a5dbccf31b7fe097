"""`hotline evaluate` as an operator meets it."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ivr import cli

ROOT = Path(__file__).resolve().parents[3]
ROWS = (
    "lang\ttopic\tkind\tsentence",
    "pl\temergency\temergency\tbabcia nagle upadła i nie oddycha",
    "pl\troads\ttricky\t<script>alert(1)</script> lampa się nie pali",
    "pl\twaste\tnormal\tod wtorku nikt nie zabrał śmieci spod bloku",
    "en\ttransport\tnormal\tthe tram never arrived this morning",
)


class Command:
    """Runs the command as `hotline` does, and gives status and what was printed."""

    def __init__(self, cache: Path, capsys: pytest.CaptureFixture[str],
                 patch: pytest.MonkeyPatch) -> None:  # fmt: skip
        self.cache, self.capsys, self.patch = cache, capsys, patch

    def __call__(self, *words: object) -> tuple[int, str, str]:
        options = ["--queues", str(ROOT / "queues"), "--cache", str(self.cache)]
        self.patch.setattr("sys.argv", ["hotline", "evaluate", *map(str, words), *options])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = self.capsys.readouterr()
        return int(end.value.code or 0), out, err


@pytest.fixture
def evaluate(
    cache_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    return Command(cache_dir, capsys, monkeypatch)


def table(folder: Path, *rows: str) -> Path:
    file = folder / "set.tsv"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href")]


def test_a_text_set(evaluate: Command, tmp_path: Path) -> None:
    example = "pl\troads\tnormal\tLatarnia nie świeci od trzech dni na Herbu Janina!"
    file = table(tmp_path, *ROWS, example)
    status, out, err = evaluate(file, "--json", tmp_path / "r.json", "--html", tmp_path / "r.html")
    assert (status, err) == (0, "")
    assert "seen in training, left out of the understanding's score: 1" in out
    found = json.loads((tmp_path / "r.json").read_text())
    (scores,) = found["scores"]
    assert (found["sentences"], found["seen"], scores["scored"]) == (5, 1, 4)
    assert scores["rates"]["emergency_yes_or_ask"]["part"] == 1
    assert scores["rates"]["ordinary_asked"]["whole"] == 2
    page = _Page()
    page.feed((tmp_path / "r.html").read_text())
    assert "svg" in page.tags
    assert not page.loads
    assert "script" not in page.tags


def test_language_and_limit(evaluate: Command, tmp_path: Path) -> None:
    file = table(tmp_path, *ROWS)
    assert "set.tsv: 1 sentences" in evaluate(file, "--lang", "en")[1]
    assert "set.tsv: 2 sentences" in evaluate(file, "--limit", 2)[1]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((), ("is empty",)),
        (("lang\tkind\tsentence", "pl\tnormal\tx"), (":1:", "no column topic", "lang, kind")),
        (("lang\ttopic", "pl\troads"), (":1:", "no column text or sentence")),
        ((ROWS[0],), ("holds no sentence",)),
        ((*ROWS, "pl\tspace\tnormal\tx"), (":6:", "unknown topic 'space'")),
        ((*ROWS, "de\troads\tnormal\tx"), (":6:", "unknown language 'de'")),
        ((*ROWS, "pl\troads\todd\tx"), (":6:", "unknown kind 'odd'")),
        ((*ROWS, "pl\troads\temergency\tx"), (":6:", "both or neither")),
        ((*ROWS, "pl\troads\tx"), (":6:", "3 columns instead of 4")),
        ((*ROWS, "pl\troads\tnormal\t"), (":6:", "no sentence")),
        (("file\ttopic", "gone.wav\troads"), (":2:", "gone.wav", "cannot be read")),
        (("file\ttopic", "set.tsv\troads"), (":2:", "not a WAV file")),
    ],
)
def test_a_bad_set_is_one_line(
    evaluate: Command, tmp_path: Path, rows: tuple[str, ...], words: tuple[str, ...]
) -> None:
    status, out, err = evaluate(table(tmp_path, *rows))
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    for word in ("set.tsv", *words):
        assert word in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--snr", "10"), "for recordings"),
        (("--lang", "xx"), "--lang xx"),
        (("--json", "/nowhere/r.json"), "cannot be written"),
    ],
)
def test_bad_options(evaluate: Command, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    status, _, err = evaluate(table(tmp_path, *ROWS), *words)
    assert status == 2
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--snr", "loud"), "--snr loud"),
        (("--engine", "ear"), "--engine ear"),
        (("--noise", "/nowhere"), "--noise /nowhere"),
        (("--models-dir", "/nowhere"), "no model for 'pl'"),
    ],
)
def test_bad_options_of_recordings(evaluate: Command, words: tuple[str, ...], said: str) -> None:
    status, _, err = evaluate(ROOT / "tests/audio", *words)
    assert status == 2
    assert said in err


def test_missing_folder_and_index(evaluate: Command, tmp_path: Path) -> None:
    assert "index.tsv" in evaluate(tmp_path)[2]
    (tmp_path / "bad.tsv").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in evaluate(tmp_path / "bad.tsv")[2]


def test_recordings(evaluate: Command, tmp_path: Path, whisper_dir: Path) -> None:
    index = ["file\tlang\ttopic\ttext"]
    for file, topic, text in (
        ("emergency-unconscious.wav", "emergency", ""),
        ("water-hot.wav", "water", "Kiedy włączą ciepłą wodę na Mokotowie"),
    ):
        (tmp_path / file).symlink_to(ROOT / "tests/audio" / file)
        index.append(f"{file}\tpl\t{topic}\t{text}")
    (tmp_path / "index.tsv").write_text("\n".join(index) + "\n")
    status, _, err = evaluate(
        tmp_path, "--models-dir", whisper_dir, "--loss", "0.02", "--alaw",
        "--json", tmp_path / "r.json", "--html", tmp_path / "r.html",
    )  # fmt: skip
    assert status == 0, err
    clean, line = json.loads((tmp_path / "r.json").read_text())["scores"]
    assert (clean["condition"], line["condition"]) == ("clean", "A-law, loss 2 %")
    # What water-hot.wav says is among the examples: heard, but not scored as new.
    assert (clean["scored"], clean["words"]["whole"]) == (1, 6)
    assert clean["words"]["share"] < 0.2
    assert clean["seen_rates"]["right_topic"]["part"] == 1
    assert clean["rates"]["emergency_yes_or_ask"]["part"] == 1
    assert clean["latency_ms"]["recognition"]["p50"] > 0
    assert "Noise and line" in (tmp_path / "r.html").read_text()

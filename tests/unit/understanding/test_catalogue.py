from pathlib import Path

import pytest

from ivr.errors import ConfigError
from ivr.understanding.catalogue import load_topics

QUEUES = Path(__file__).resolve().parents[3] / "queues"


def topic(topic_id: str, queue: str, *, example: str = "zdanie", extra: str = "") -> str:
    return f"""\
  - id: {topic_id}
    name: {{pl: a, uk: b, en: c}}
    unit: miasto
    queue: {queue}
    menu_key: "0"
    description: d
    examples:
      pl: ["{example} {topic_id}"]
      uk: ["речення {topic_id}"]
      en: ["sentence {topic_id}"]
{extra}"""


GOOD = "topics:\n" + topic("emergency", "null") + topic("other", "general")


def load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "topics.yaml"
    path.write_text(text, encoding="utf-8")
    load_topics(path)


def test_the_real_file() -> None:
    topics = load_topics(QUEUES / "topics.yaml")
    assert len(topics.ids) == 20
    assert [t.id for t in topics.by_key("3")] == ["parking", "order"]
    assert {key: topics.by_key(key)[0].id for key in "1234567890*"} == {
        "1": "waste", "2": "roads", "3": "parking", "4": "transport", "5": "greenery", "6": "water",
        "7": "documents", "8": "taxes", "9": "status", "0": "emergency", "*": "other",
    }  # fmt: skip
    assert topics["animals"].queue == "nature"
    for t in topics.all:
        assert len(t.examples["pl"]) + len(t.tricky.get("pl", [])) >= 25, t.id
        assert len(t.examples["uk"]) + len(t.tricky.get("uk", [])) >= 8, t.id
        assert len(t.examples["en"]) + len(t.tricky.get("en", [])) >= 8, t.id


def test_good(tmp_path: Path) -> None:
    load(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (GOOD.replace("unit: miasto", "unti: miasto", 1), 4, "unknown key 'unti'"),
        (GOOD.replace("queue: general", "queue: generla"), 15, "queue"),
        (GOOD.replace("queue: null", "queue: waste"), 5, "wrong queue"),
        (GOOD.replace("queue: general", "queue: null"), 15, "wrong queue"),
        (GOOD + topic("other", "general", example="inne"), 22, "twice"),
        (GOOD.replace('pl: ["zdanie other"]', "pl: []"), 18, "no examples in 'pl'"),
        (GOOD.replace('      en: ["sentence other"]\n', ""), 18, "no examples in 'en'"),
        (GOOD.replace("zdanie other", "zdanie emergency"), 19, "is an example of"),
        (GOOD.replace("zdanie other", "..."), 19, "empty example"),
        (GOOD + "    overrides: {pl: ['(']}\n", 22, "bad regular expression"),
        (GOOD + "    keywords: {pl: ['dwa słowa']}\n", 22, "one word"),
        ("topics:\n" + topic("emergency", "null"), 1, "'other' is missing"),
        (GOOD.replace('menu_key: "0"', "menu_key: 0", 1), 6, "menu_key"),
        ("topics: &a [*a]\n", None, "aliases"),
        ("[" * 600 + "]" * 600, None, "nested"),
    ],
)
def test_refuses(tmp_path: Path, text: str, line: int | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        load(tmp_path, text)
    if line is not None:
        assert caught.value.line == line
    assert caught.value.file.endswith("topics.yaml")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_topics(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"topics: \xb1\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_topics(tmp_path / "latin.yaml")

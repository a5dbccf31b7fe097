from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr.errors import ConfigError
from ivr.types import LANGUAGES, Language
from ivr.understanding.alarms import load_alarms
from ivr.understanding.emergency import EmergencyDetector, Thresholds, decide

QUEUES = Path(__file__).resolve().parents[3] / "queues"
BOOK = load_alarms(QUEUES / "emergencies.yaml")
DETECTOR = EmergencyDetector(BOOK)
STRONG = [(a.example, a.language) for a in BOOK.alarms if a.strength == "strong"]
EXPLANATIONS = [
    "to było w zeszłym roku",
    "pali się lampa",
    "nikt nie umiera",
    "chcę numer sprawy",
    "pies i kot",
    "dym z komina",
    "strzelają petardami",
    "pogotowie wodociągowe",
    "nic się nie pali",
    "szlag trafi",
    "last week",
    "the traffic light",
    "just a question",
    "вчора",
    "ліхтар",
    "свідоцтво про смерть",
]


@pytest.mark.parametrize(
    ("text", "language", "group"),
    [
        ("mąż nie oddycha", "pl", "breathing"),
        ("Człowiek leży nieprzytomny", "pl", "consciousness"),
        ("mam zawał", "pl", "heart_stroke"),
        ("pali się mieszkanie na trzecim piętrze", "pl", "fire"),
        ("czuć gaz na klatce", "pl", "gas"),
        ("mąż mnie bije", "pl", "violence"),
        ("chcę się zabić", "pl", "suicide"),
        ("proszę wezwać karetkę", "pl", "call_for_help"),
        ("potrzebuję policji na Targową", "pl", "call_for_help"),
        ("proszę mnie połączyć z numerem sto dwanaście", "pl", "call_for_help"),
        ("людина не дихає", "uk", "breathing"),
        ("горить квартира", "uk", "fire"),
        ("мене б'є чоловік", "uk", "violence"),
        ("не хочу жити", "uk", "suicide"),
        ("викличте швидку", "uk", "call_for_help"),
        ("помогите пожар", "uk", "fire"),
        ("my son can't breathe", "en", "breathing"),
        ("there's a fire in the kitchen", "en", "fire"),
        ("he has a gun", "en", "violence"),
        ("I want to end my life", "en", "suicide"),
        ("call the fire brigade", "en", "call_for_help"),
    ],
)
def test_certain(text: str, language: Language, group: str, detector: EmergencyDetector) -> None:
    verdict = detector.detect(text, language)
    assert (verdict.outcome, verdict.group) == ("yes", group), verdict


@pytest.mark.parametrize(
    "text",
    [
        "Madr Gawki, Piana Mulecizost",
        "ktoś zasłabu, jest ksiny",
        "nieodycha",
        "stracił pszytomność",
        "zaczeła rodzic",
        "pali sie mieskanie",
        "ulatnia się gas",
    ],
)
def test_recogniser_errors(text: str, detector: EmergencyDetector) -> None:
    assert detector.detect(text, "pl").outcome == "yes"


@pytest.mark.parametrize(
    "text",
    [
        "rą do Waszynktona",
        "dziura na Wisłostradzie",
        "przejście dla pieszego na Wisłostradzie",
        "chciałbym oddać starą lodówkę",
        "nie pali się latarnia przed klatką",
        "ktoś pali papierosy na klatce schodowej",
        "dym z komina sąsiada",
        "kiedy będzie odbiór śmieci",
        "jak wyrobić dowód osobisty",
        "konsultantka była nieuprzejma",
        "jak dojechać na lotnisko",
    ],
)
def test_traps_are_no_emergencies(text: str, detector: EmergencyDetector) -> None:
    assert detector.detect(text, "pl").outcome == "no"


def test_wislostrada_is_no_animal(detector: EmergencyDetector) -> None:
    """Unanchored "lis" and "pies" would turn this into a question."""
    said = "potrącił pieszego, leży na jezdni na Wisłostradzie"
    assert detector.detect(said, "pl").outcome == "yes"


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("ktoś leży na chodniku", "ask"),
        ("źle się czuję", "ask"),
        ("pomocy", "ask"),
        ("pogotowie", "ask"),
        ("brat próbował się zabić rok temu, szukam terapii", "no"),
        ("Nic się nie pali, ale czuć gaz bardzo mocno", "yes"),
        ("Już nie krwawi, ale stracił przytomność", "yes"),
        ("zgłosiłam pożar traw w maju, chcę numer sprawy", "ask"),
        ("", "no"),
        ("?!...", "no"),
    ],
)
def test_shades(text: str, outcome: str, detector: EmergencyDetector) -> None:
    assert detector.detect(text, "pl").outcome == outcome


def test_empty_text_says_so(detector: EmergencyDetector) -> None:
    assert detector.detect(" . ", "pl").why == "nothing heard"


@pytest.mark.parametrize(
    ("score", "text", "outcome"),
    [
        (0.95, "dzień dobry", "yes"),  # very sure: acts alone
        (0.60, "dzień dobry", "ask"),
        (0.20, "dzień dobry", "no"),
        (0.95, "ktoś leży na chodniku", "yes"),
        (0.60, "ktoś leży na chodniku", "ask"),
        (0.06, "ktoś leży na chodniku", "ask"),  # a weak sign asks, unless there is nothing to it
        (0.01, "ktoś leży na chodniku", "no"),
        (0.60, "ranny jeż leży pod płotem", "ask"),  # explained
        (0.60, "mąż nie oddycha", "yes"),
        (0.01, "mąż nie oddycha", "ask"),  # a strong sign doubted is still asked about
        (0.01, "wczoraj mąż nie oddychał", "ask"),  # and so is one explained
        (0.95, "wczoraj mąż nie oddychał", "ask"),  # whatever the model thinks
        (None, "dzień dobry", "no"),  # the lists alone
        (None, "ktoś leży na chodniku", "ask"),
        (None, "mąż nie oddycha", "yes"),
        (None, "wczoraj mąż nie oddychał", "ask"),
    ],
)
def test_model_beside_the_lists(score: float | None, text: str, outcome: str) -> None:
    limits = Thresholds(asks=0.3, certain=0.9, doubts=0.5, harmless=0.05)
    assert decide(DETECTOR.find([text], "pl"), score, limits).outcome == outcome


def test_what_else_may_have_been_heard_counts() -> None:
    heard = ["mąż nie oddycha pan", "mąż nieodychał"]
    assert DETECTOR.find(["mąż nie od dycha", *heard], "pl").signs
    assert decide(DETECTOR.find(["mąż na ulicy", *heard], "pl")).outcome == "yes"
    assert not DETECTOR.find(["mąż na ulicy"], "pl").signs


def test_evidence_tells_signs_apart() -> None:
    def evidence(text: str) -> tuple[float, ...]:
        return DETECTOR.find([text], "pl").evidence

    assert evidence("dzień dobry") == (0, 0, 0, 0, 0, 0, 2), "the last counts the words"
    assert evidence("mąż nie oddycha")[0] == 1
    assert evidence("wczoraj mąż nie oddychał")[0] == 0
    assert evidence("wczoraj mąż nie oddychał")[2] == 1
    assert evidence("ktoś leży na chodniku")[3] == 1
    assert evidence("nie oddycha i mam zawał")[1] == 1


def test_suicide_is_named_first(detector: EmergencyDetector) -> None:
    said = "wezwijcie karetkę, ona leży nieprzytomna, mówiła że chce się zabić"
    assert detector.detect(said, "pl").group == "suicide"


@pytest.mark.parametrize(("text", "language"), STRONG)
def test_every_strong_example_is_found(text: str, language: Language) -> None:
    assert DETECTOR.detect(text, language).outcome == "yes"


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(STRONG),
    st.lists(st.one_of(st.sampled_from(EXPLANATIONS), st.text(max_size=60)), max_size=4),
)
def test_context_never_silences(alarm: tuple[str, Language], contexts: list[str]) -> None:
    text, language = alarm
    assert DETECTOR.detect(" ".join([text, *contexts]), language).outcome != "no"
    assert DETECTOR.detect(". ".join([text, *contexts]), language).outcome != "no"


@settings(max_examples=100, deadline=None)
@given(st.text(), st.sampled_from(LANGUAGES))
def test_never_raises(text: str, language: Language) -> None:
    assert DETECTOR.detect(text, language).outcome in {"yes", "ask", "no"}


ALARM = """\
alarms:
  - group: fire
    language: pl
    strength: strong
    example: pożar
    patterns: ['pożar']
"""


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (ALARM + "    loud: true\n", 7, "unknown key 'loud'"),
        (ALARM.replace("strong", "huge"), 4, "strength"),
        (ALARM.replace("['pożar']", "['(pożar']"), 6, "bad regular expression"),
        (ALARM.replace("['pożar']", "['pożar|']"), 6, "empty"),
        (ALARM.replace("example: pożar", "example: dom"), 5, "none of the patterns"),
        (ALARM.replace("language: pl", "language: de"), 3, "language"),
        (ALARM + "    group: gas\n", 7, "twice"),
        (
            ALARM + "contexts:\n"
            "  - {id: a, language: pl, why: b, example: c, patterns: [c], about: [x]}\n",
            8,
            "no alarm has the group",
        ),
        ("alarms: [\n", 2, "expected"),
        ("", None, "dict|object|valid"),
        ("alarms: []\n", 1, "alarms"),
    ],
)
def test_refuses(tmp_path: Path, text: str, line: int | None, words: str) -> None:
    path = tmp_path / "emergencies.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words) as caught:
        load_alarms(path)
    assert caught.value.line == line

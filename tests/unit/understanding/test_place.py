from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.errors import ConfigError
from ivr.understanding.gazetteer_file import read_places
from ivr.understanding.place import Gazetteer, Place
from ivr.understanding.text import fold, normalise

PLACES = Path(__file__).parents[3] / "queues" / "places.csv"
GAZETTEER = Gazetteer.load(PLACES)

FOUND = [
    ("na Marszałkowskiej przy Świętokrzyskiej", "street", "Marszałkowska"),
    ("na Marszałkowskiej przy Świętokrzyskiej", "crossing", "Świętokrzyska"),
    ("koło metra Wilanowska", "landmark", "metro Wilanowska"),
    ("Na Puławskiej pod numerem dwanaście", "street", "Puławska"),
    ("Na Puławskiej pod numerem dwanaście", "number", "12"),
    ("Na Puławskiej sto dwadzieścia trzy", "number", "123"),
    ("ulica Herbu Janina 5 m 3", "street", "Herbu Janina"),
    ("ulica Herbu Janina 5 m 3", "number", "5"),
    ("nie ma prądu na Pradze Południe", "district", "Praga-Południe"),
    ("dzik na Bielanach", "district", "Bielany"),
    ("na pulafskiej", "street", "Puławska"),
    ("ulica Kwiatuszkowa 7", "street", "Kwiatuszkowa"),
    ("ulica jedenastego listopada", "street", "11 Listopada"),
    ("róg Puławskiej i Domaniewskiej", "crossing", "Domaniewska"),
    ("na alejach jerozolimskich 100", "number", "100"),
    ("вулиця Маршалковська 5", "street", "Marszałkowska"),
    ("a hole on Marszałkowska street", "street", "Marszałkowska"),
]
NOWHERE = [
    "na dachu",
    "w domu",
    "przy drodze",
    "koło mnie",
    "",
    "dzień dobry",
    "wolę jutro",
    "na dobrej drodze",
    "na placu zabaw",
    "numer sześćset z listopada",
]


@pytest.mark.parametrize(("sentence", "field", "value"), FOUND)
def test_a_place_is_found(sentence: str, field: str, value: str) -> None:
    language = "en" if "street" in sentence else "pl"
    place = GAZETTEER.find(sentence, language)
    assert place is not None
    assert getattr(place, field) == value
    assert 0 < place.confidence <= 1


@pytest.mark.parametrize("sentence", NOWHERE)
def test_ordinary_words_are_no_place(sentence: str) -> None:
    assert GAZETTEER.find(sentence, "pl") is None


@given(st.text(max_size=10_000), st.sampled_from(["pl", "uk", "en"]))
def test_any_text_is_harmless(text: str, language: str) -> None:
    GAZETTEER.find(text, language)  # type: ignore[arg-type]


@given(st.sampled_from([row[0] for row in FOUND[:11]]), st.sampled_from(["", ",", "...", "!?"]))
def test_case_punctuation_and_diacritics_change_nothing(sentence: str, marks: str) -> None:
    place = GAZETTEER.find(sentence, "pl")
    other = GAZETTEER.find(fold(sentence.lower()).upper().replace(" ", marks + " "), "pl")
    assert place is not None
    assert other is not None
    fields = ("district", "street", "number", "crossing", "landmark", "confidence")
    assert [getattr(place, f) for f in fields] == [getattr(other, f) for f in fields]


@pytest.mark.parametrize("text", ["na " * 3400, "\0\x07" * 5000, "街" * 10_000, "ulica x" * 1500])
def test_long_text_is_harmless(text: str) -> None:
    GAZETTEER.find(text, "pl")


def test_semicolons_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("\ufeffkind;name;district;aliases\nstreet;Nowa;Wola|Ochota;\n", "utf-8")
    assert read_places(path)[0].districts == ("Wola", "Ochota")


@pytest.mark.parametrize(
    ("text", "line"),
    [("name\n", 1), ("kind,name,district,aliases\nx,Nowa,,\n", 2),
     ("kind,name,district,aliases\nstreet,,,\n", 2), ("kind,name,district,aliases\nstreet,A\n", 2)],
)  # fmt: skip
def test_a_bad_row_names_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=f":{line}"):
        read_places(path)


def test_english_ordinary_streets_are_no_place() -> None:
    assert GAZETTEER.find("a big hole on a busy street near my house", "en") is None


def test_a_list_of_the_city_register_is_searched(tmp_path: Path) -> None:
    path = tmp_path / "register.csv"
    path.write_text("kind;name;district;aliases\nstreet;Zmyślona;Wola;\n", "utf-8")
    place = Gazetteer.load(path).find("na zmyślonej 7a", "pl")
    assert place is not None
    assert (place.street, place.district, place.number) == ("Zmyślona", "Wola", "7a")


LABELLED = [
    dict(
        zip(
            ("sentence", "district", "street", "number", "crossing", "landmark"), cells, strict=True
        )
    )
    for line in (PLACES.parents[1] / "tests/data/places.tsv").read_text("utf-8").splitlines()[1:]
    for cells in [line.split("\t")]
]
LEAST_RIGHT = 0.96
"""Of 270 sentences; the rest are names that the list does not know or that were misheard badly."""


def _same(found: str, wanted: str) -> bool:
    """Whether two names are one street: "Samuela Lindego" is Lindego, "al." is Aleja."""

    def plain(name: str) -> str:
        short = {"aleja": "al", "aleje": "al", "plac": "pl", "metro": ""}
        return " ".join(short.get(w, w) for w in normalise(name).split() if w != "metro")

    a, b = plain(found), plain(wanted)
    return a == b or bool(a and b and a.split()[-1] == b.split()[-1])


def _right(row: dict[str, str]) -> bool:
    place = GAZETTEER.find(row["sentence"], "pl") or Place()
    crossing = {place.street, place.crossing}
    if row["crossing"]:  # which of the two is named first does not matter
        return all(any(_same(f, row[name]) for f in crossing) for name in ("street", "crossing"))
    wanted = ["street", "number", "crossing", "landmark"] + ["district"] * bool(row["district"])
    return all(_same(getattr(place, name), row[name]) for name in wanted)


def test_labelled_sentences_are_placed() -> None:
    wrong = [row["sentence"] for row in LABELLED if not _right(row)]
    assert len(wrong) <= (1 - LEAST_RIGHT) * len(LABELLED), "\n".join(wrong)

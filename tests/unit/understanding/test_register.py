"""The city's register of streets, brought into the list of places."""

from pathlib import Path

import pytest

from ivr.errors import ConfigError
from ivr.understanding.gazetteer_file import read_places
from ivr.understanding.place import Gazetteer
from ivr.understanding.register import as_csv, read_register

HEAD = "WOJ;POW;GMI;RODZ_GMI;SYM;SYM_UL;CECHA;NAZWA_1;NAZWA_2;STAN_NA"
ULIC = f"""\ufeff{HEAD}
14;65;08;8;0918123;12345;ul.;Wymyślona;;2026-01-01
14;65;11;8;0918124;12345;ul.;Wymyślona;;2026-01-01
14;65;18;8;0918125;12346;ul.;Wańkowicza;Melchiora;2026-01-01
14;65;10;8;0918126;12347;pl.;Próbny;;2026-01-01
14;65;10;8;0918127;12348;al.;Testowe;;2026-01-01
12;61;01;8;0918128;12349;ul.;Krakowska;;2026-01-01
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ULIC.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_streets_of_the_county_with_their_districts(tmp_path: Path) -> None:
    rows = {row.name: row for row in read_register(written(tmp_path, ULIC))}
    assert set(rows) == {"Wymyślona", "Melchiora Wańkowicza", "plac Próbny", "aleja Testowe"}
    assert rows["Wymyślona"].districts == ("Praga-Północ", "Targówek")
    assert rows["Melchiora Wańkowicza"].aliases == ("Wańkowicza",)
    other = read_register(written(tmp_path, ULIC), ("12", "61"))
    assert [(row.name, row.districts) for row in other] == [("Krakowska", ())]


def test_callers_name_its_streets(tmp_path: Path) -> None:
    (tmp_path / "streets.csv").write_text(
        as_csv(read_register(written(tmp_path, ULIC))), encoding="utf-8"
    )
    assert len(read_places(tmp_path / "streets.csv")) == 4
    gazetteer = Gazetteer.of_city(tmp_path)
    place = gazetteer.find("nie świeci latarnia na Wańkowicza 5", "pl")
    assert place is not None
    assert (place.street, place.number, place.district) == ("Melchiora Wańkowicza", "5", "Wola")
    place = gazetteer.find("koło placu próbnego", "pl")
    assert place is not None
    assert place.street == "plac Próbny"


def test_a_city_without_lists_has_no_places(tmp_path: Path) -> None:
    assert Gazetteer.of_city(tmp_path).find("na Puławskiej 5", "pl") is None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "no column WOJ"),
        (ULIC.replace(";", ","), 1, "no column"),
        (HEAD + "\n14;65;08;8;1;2;ul.;;;2026\n", 2, "without a name"),
        (HEAD + "\n14;65;08\n", 2, "columns missing"),
        (HEAD + "\n02;01;01;8;1;2;ul.;Inna;;2026\n", None, "no street of WOJ 14"),
    ],
)
def test_refuses(tmp_path: Path, text: str, line: int | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        read_register(written(tmp_path, text))
    assert caught.value.line == line


def test_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_register(tmp_path / "nothing.csv")
    (tmp_path / "latin.csv").write_bytes(HEAD.encode() + b"\n\xb3\xf3\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_register(tmp_path / "latin.csv")

"""The official register of streets (GUS TERYT, file ULIC) turned into rows of places.

Columns of the register, separated by `;`: WOJ;POW;GMI;RODZ_GMI;SYM;SYM_UL;CECHA;NAZWA_1;NAZWA_2;
STAN_NA. CECHA is the kind ("ul.", "pl.", "al.", "rondo"), NAZWA_1 what a street is called by,
NAZWA_2 what stands before it (given names, ranks). Warsaw is WOJ 14, POW 65; its districts are GMI
of kind 8.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from ivr.errors import ConfigError
from ivr.understanding.gazetteer_file import COLUMNS, Row

NEEDED = ("WOJ", "POW", "GMI", "CECHA", "NAZWA_1", "NAZWA_2")
WARSAW = ("14", "65")
DISTRICTS = {
    "02": "Bemowo", "03": "Białołęka", "04": "Bielany", "05": "Mokotów", "06": "Ochota",
    "07": "Praga-Południe", "08": "Praga-Północ", "09": "Rembertów", "10": "Śródmieście",
    "11": "Targówek", "12": "Ursus", "13": "Ursynów", "14": "Wawer", "15": "Wesoła",
    "16": "Wilanów", "17": "Włochy", "18": "Wola", "19": "Żoliborz",
}  # fmt: skip
"""Names of Warsaw's GMI codes; of other cities the register's street file knows no names."""
_KINDS = {"ul.": "", "inne": "", "": "", "al.": "aleja ", "pl.": "plac ", "os.": "osiedle "}


def read_register(path: Path, county: tuple[str, str] = WARSAW) -> list[Row]:
    """Return the streets of one county (WOJ, POW), those of several districts once.

    Raises ConfigError with file, line and hint.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        hint = "download the file ULIC of TERYT as CSV"
        raise ConfigError(path, f"cannot be read: {reason}", hint=hint) from error
    reader = csv.DictReader(io.StringIO(text), delimiter=";")
    lacking = [name for name in NEEDED if name not in (reader.fieldnames or ())]
    if lacking:
        hint = "columns are separated by ; as in TERYT's file ULIC"
        raise ConfigError(path, f"no column {', '.join(lacking)}", line=1, hint=hint)
    found: dict[tuple[str, str], list[str]] = {}
    try:
        for cells in reader:
            if (cells["WOJ"], cells["POW"]) != county:
                continue
            if None in cells.values() or not (cells["NAZWA_1"] or "").strip():
                message = "a street without a name, or columns missing"
                raise ConfigError(path, message, line=reader.line_num, hint="fill in NAZWA_1")
            district = DISTRICTS.get(cells["GMI"], "") if county == WARSAW else ""
            districts = found.setdefault(_names(cells), [])
            if district and district not in districts:
                districts.append(district)
    except csv.Error as error:
        raise ConfigError(path, f"not CSV: {error}", line=reader.line_num) from error
    if not found:
        message = f"no street of WOJ {county[0]}, POW {county[1]}"
        raise ConfigError(path, message, hint="name the county with --county")
    return [
        Row("street", name, tuple(sorted(districts)), (short,) if short else ())
        for (name, short), districts in sorted(found.items())
    ]


def as_csv(rows: Iterable[Row]) -> str:
    """Write rows as a list of places."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([row.kind, row.name, "|".join(row.districts), "|".join(row.aliases)])
    return text.getvalue()


def _names(cells: dict[str, str]) -> tuple[str, str]:
    """The whole name, and what callers say for short: "Wańkowicza" for "Melchiora Wańkowicza"."""
    kind = cells["CECHA"].strip().lower()
    prefix = _KINDS.get(kind, f"{kind} ")
    first, before = cells["NAZWA_1"].strip(), (cells["NAZWA_2"] or "").strip()
    name = f"{prefix}{before} {first}".replace("  ", " ").strip() if before else f"{prefix}{first}"
    return name, first if before else ""

"""The list of places of a city, read from CSV: kind, name, district, aliases.

A city loads its full register by writing it in these four columns and giving its path to
`Gazetteer.load`. Columns stand apart by `;` or `,` (the header tells which), a byte order mark
does no harm, several districts or aliases in one field stand apart by `|`.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from ivr.errors import ConfigError

COLUMNS = ("kind", "name", "district", "aliases")
KINDS = frozenset({"district", "neighbourhood", "metro", "street"})


@dataclass(frozen=True)
class Row:
    """One place of the list; a street may run through several districts."""

    kind: str
    name: str
    districts: tuple[str, ...]
    aliases: tuple[str, ...]


def _parts(field: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in field.split("|") if part.strip())


def read_places(path: Path) -> list[Row]:
    """Return the rows of a list; raises ConfigError naming the line that is wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(path, f"cannot be read: {reason}") from error
    header = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text), delimiter=";" if ";" in header else ",")
    rows: list[Row] = []
    try:
        names = tuple(name.strip().lower() for name in next(reader, []))
        if names != COLUMNS:
            raise ConfigError(path, "not the columns of places", line=1, hint=",".join(COLUMNS))
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            rows.append(_row(path, reader.line_num, cells))
    except csv.Error as error:
        hint = "check the quotes"
        raise ConfigError(path, f"not CSV: {error}", line=reader.line_num, hint=hint) from error
    return rows


def _row(path: Path, line: int, cells: list[str]) -> Row:
    if len(cells) != len(COLUMNS):
        message = f"{len(cells)} fields, not {len(COLUMNS)}"
        raise ConfigError(path, message, line=line, hint="several districts stand apart by |")
    kind, name, district, aliases = (cell.strip() for cell in cells)
    if kind not in KINDS:
        hint = "one of " + ", ".join(sorted(KINDS))
        raise ConfigError(path, f"unknown kind {kind!r}", line=line, hint=hint)
    if not any(c.isalnum() for c in name):
        raise ConfigError(path, "a place without a name", line=line, hint="fill in the name")
    return Row(kind, name, _parts(district), _parts(aliases))

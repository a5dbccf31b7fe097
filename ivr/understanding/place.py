"""Where in the city a caller speaks of: district, street, house number, crossing, landmark.

Words are compared by their stems (no diacritics, no case ending); a street of one word counts
only after a word such as "na" or "ulica", and letters wrongly heard are forgiven only there, so
that ordinary words are not taken for streets. All is read at load; finding touches no file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rapidfuzz import fuzz, process

from ivr.types import Language
from ivr.understanding.gazetteer_file import Row, read_places
from ivr.understanding.place_words import (
    CROSSING,
    MONTHS,
    NO_GIVEN_NAMES,
    ORDINARY,
    STRONG,
    WEAK,
    as_sounded,
    house_number,
    nominative,
    number_before,
    stem,
    street_like,
    words_of,
)
from ivr.understanding.text import normalise

PLACES_FILES = ("places.csv", "streets.csv")
"""What ships with the project, and the city's own register of streets."""
NEAR = 85
"""How alike a misheard word must be to a street, of 100 (rapidfuzz ratio)."""
SOUNDS_NEAR = 86
"""The same for how it sounds, word boundaries left out."""
_MAX_WORDS = 5
_READ_WORDS = 400


@dataclass(frozen=True)
class Place:
    """A place as understood; what was not said is an empty string. Confidence is 0 to 1."""

    district: str = ""
    street: str = ""
    number: str = ""
    crossing: str = ""
    landmark: str = ""
    said: str = ""
    confidence: float = 0.0


@dataclass(frozen=True)
class _Hit:
    row: Row
    start: int
    end: int
    confidence: float


class Gazetteer:
    """The places of a city, ready to be found in sentences."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._names: dict[tuple[str, ...], list[Row]] = {}
        for row in rows:
            for name in (row.name, *row.aliases):
                key = tuple(stem(word) for word in words_of(name))
                if key and row not in self._names.setdefault(key, []):
                    self._names[key].append(row)
                if row.kind == "street" and _given_name_first(words_of(name)):
                    self._names.setdefault(key[1:], []).append(row)  # "K. Ciołkowskiego"
        self._fuzzy = [
            " ".join(key)
            for key, found in self._names.items()
            if len(" ".join(key)) >= 6 and any(row.kind == "street" for row in found)
        ]
        self._sounds = {
            sound: row
            for row in rows
            if row.kind == "street"
            for name in (row.name, *row.aliases)
            if len(sound := as_sounded(name)) >= 6
        }

    @classmethod
    def load(cls, path: Path) -> "Gazetteer":
        """Return the places of a CSV file; raises ConfigError for a bad row."""
        return cls(read_places(path))

    @classmethod
    def of_city(cls, queues: Path) -> "Gazetteer":
        """Return the places of a folder's files, as far as it has any; raises ConfigError."""
        files = [queues / name for name in PLACES_FILES]
        return cls([row for file in files if file.exists() for row in read_places(file)])

    def find(self, utterance: str, language: Language) -> Place | None:
        """Return the place a sentence speaks of, or None."""
        pairs = [(w, said) for said in normalise(utterance).split() for w in words_of(said)[:1]]
        words = [word for word, _ in pairs[:_READ_WORDS]]
        spoken = [said for _, said in pairs[:_READ_WORDS]]
        stems = [stem(word) for word in words]
        hits: list[_Hit] = []
        i = 0
        while i < len(words):
            hit = self._at(words, spoken, stems, i, language)
            if hit is not None:
                hits.append(hit)
            i = hit.end if hit is not None else i + 1
        return self._place(words, spoken, hits) if hits else None

    def _at(
        self, words: list[str], spoken: list[str], stems: list[str], i: int, language: Language
    ) -> _Hit | None:
        before = words[i - 1] if i else ""
        marked = before in STRONG or before in WEAK
        named_after = language == "en" and i + 1 < len(words) and words[i + 1] == "street"
        for size in range(min(_MAX_WORDS, len(words) - i), 0, -1):
            key = tuple(stems[i : i + size])
            rows = self._names.get(key, ())
            for kind in ("metro",) if before.startswith("metr") else ("", "metro"):
                for row in sorted(rows, key=lambda r: (r.kind != kind, r.kind)):
                    if self._admitted(row, words, i, size, marked or named_after):
                        return _Hit(row, i, i + size, 0.95)
        if before not in STRONG and not marked and not named_after:
            return None
        if words[i] in ORDINARY or words[i] in STRONG or words[i] in WEAK or words[i].isdigit():
            return None
        if MONTHS & set(words[i : i + 2]):
            return None
        return self._nearly(
            spoken, stems, i, (before in STRONG or named_after) and street_like(words, i)
        )

    @staticmethod
    def _admitted(row: Row, words: list[str], i: int, size: int, marked: bool) -> bool:
        before = words[i - 1] if i else ""
        if row.kind == "metro":
            return before.startswith(("metr", "stacj", "station"))
        if row.kind == "street":
            return _street_admitted(row.name, words, i, size, marked)
        return marked if words[i] in ORDINARY else marked or len(words[i]) > 4

    def _nearly(self, spoken: list[str], stems: list[str], i: int, strong: bool) -> _Hit | None:
        for size in (2, 1):
            said = " ".join(stems[i : i + size])
            if len(said) < 6 or i + size > len(stems):
                continue
            best = process.extractOne(said, self._fuzzy, scorer=fuzz.ratio, score_cutoff=NEAR)
            if best is not None:
                rows = self._names[tuple(best[0].split())]
                street = next(row for row in rows if row.kind == "street")
                return _Hit(street, i, i + size, 0.8 * best[1] / 100)
        for size in (3, 2, 1):
            said = as_sounded(" ".join(spoken[i : i + size]))
            if i + size > len(stems) or len(said) < 6:
                continue
            match = process.extractOne(
                said, self._sounds.keys(), scorer=fuzz.ratio, score_cutoff=SOUNDS_NEAR
            )
            if match is not None:
                return _Hit(self._sounds[match[0]], i, i + size, 0.75 * match[1] / 100)
        if not strong:
            return None
        name = nominative(spoken[i]).capitalize()
        return _Hit(Row("street", name, (), ()), i, i + 1, 0.4)

    @staticmethod
    def _place(words: list[str], spoken: list[str], hits: list[_Hit]) -> Place:
        streets = [hit for hit in hits if hit.row.kind == "street"]
        areas = [hit for hit in hits if hit.row.kind in {"district", "neighbourhood"}]
        landmark = next((h for h in hits if h.row.kind == "metro"), None)
        used = [*streets[:2], *areas[:1], *([landmark] if landmark else [])]
        street = streets[0] if streets else None
        number, end = house_number(words, street.end) if street else ("", 0)
        begin = len(words)
        if street and not number:
            number, at = number_before(words, street.start)
            begin = at if number else begin
        crossing = ""
        if len(streets) > 1 and streets[1].row.name != streets[0].row.name:
            between = words[streets[0].end : streets[1].start]
            if len(between) <= 4 and any(word in CROSSING for word in between):
                crossing = streets[1].row.name
        if streets[1:] and not crossing:
            used.remove(streets[1])
        district = ""
        for hit in [*areas, *used]:
            row = hit.row
            of_row = (row.name,) if row.kind == "district" else row.districts
            if len(of_row) == 1:  # a street of several districts does not tell one
                district = of_row[0]
                break
        first = min(begin, *(h.start for h in used))
        last = max(end, *(h.end for h in used))
        return Place(
            district=district,
            street=street.row.name if street else "",
            number=number,
            crossing=crossing,
            landmark=f"metro {landmark.row.name}" if landmark else "",
            said=" ".join(spoken[first:last]),
            confidence=round(min(hit.confidence for hit in used), 2),
        )


def _street_admitted(name: str, words: list[str], i: int, size: int, marked: bool) -> bool:
    """Whether words that could be a street's name are meant so."""
    before = words[i - 1] if i else ""
    if before.startswith("park") or _of_a_man(words[i], name):
        return False
    if size == 1 and words[i] in ORDINARY:
        return before in STRONG
    if words[i + size - 1] in MONTHS:  # a date, unless it is said to be a street
        return before in STRONG or before == "przy"
    after = words[i + size : i + size + 1]
    if (house_number(words, i + size)[0] or after in (["rog"], ["przy"])) and len(words[i]) > 4:
        return True  # "Targowa czterdzieści jeden", "Grójecka róg Wawelskiej"
    # "Marszałkowska" is a street wherever it is said, "Prosta" only when marked.
    telling = len(words[i]) >= 9 and ("sk" in words[i] or "ck" in words[i])
    return marked or (size > 1 and len(words[i]) > 2) or telling


def _given_name_first(words: list[str]) -> bool:
    """Whether a street's name of two words begins with an initial or a man's name."""
    if len(words) != 2 or not words[0].isalpha():
        return len(words) > 2 and len(words[0]) <= 2 and words[0].isalpha()
    man = words[0].endswith("a") and words[1].endswith(("ego", "icza", "yka", "ka", "a"))
    return len(words[0]) <= 2 or (man and words[0] not in NO_GIVEN_NAMES)


def _of_a_man(word: str, street: str) -> bool:
    """Whether "Puławskiego" is said where the street is Puławska: a person, not the street."""
    return street.endswith("a") and word.endswith(("skiego", "ckiego", "skiemu", "ckiemu"))

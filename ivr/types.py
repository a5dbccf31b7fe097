"""Types that the whole project shares."""

from typing import Literal, get_args

Language = Literal["pl", "uk", "en"]
"""A language spoken at the hotline, as ISO 639-1."""

LANGUAGES: tuple[Language, ...] = get_args(Language)

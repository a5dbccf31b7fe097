"""Regular expressions of the configuration: folded like the text, anchored to whole words."""

import re

from ivr.understanding.text import contractions, fold


class BadPatternError(ValueError):
    """A regular expression that cannot be used; the message says why."""


def anchored(pattern: str) -> re.Pattern[str]:
    """Compile a pattern for search in folded text; it only matches whole words.

    Raises BadPatternError when it is no regular expression or matches nothing at all ("").
    """
    prepared = fold(contractions(pattern)).replace("'", "")
    try:
        compiled = re.compile(rf"(?<!\w)(?:{prepared})(?!\w)")
    except (re.error, OverflowError, RecursionError) as error:
        raise BadPatternError(f"bad regular expression {pattern!r}: {error}") from error
    if compiled.search("") or compiled.search(" "):
        raise BadPatternError(f"regular expression {pattern!r} matches the empty text")
    return compiled

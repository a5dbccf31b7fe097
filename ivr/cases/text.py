"""Text from callers made storable: no database or terminal may stumble over it."""

import math
import re

from ivr.cases.event import JSON

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_REPLACEMENT = "\ufffd"


def clean(text: str, limit: int | None = None) -> str:
    """Replace NUL (no PostgreSQL text) and lone surrogates by U+FFFD; keep `limit` characters."""
    return _UNSTORABLE.sub(_REPLACEMENT, text[:limit])


def clean_json(value: JSON) -> JSON:
    """Clean every text inside, keys too; NaN and infinities, which JSON has not, become text."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean_json(item) for key, item in value.items()}
    return value


def printable(text: str) -> str:
    """Make one line that cannot steer a terminal: controls and direction marks become U+FFFD."""
    return _CONTROL.sub(_REPLACEMENT, clean(text))

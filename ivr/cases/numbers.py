"""Telephone numbers: as they are kept, and as a log may show them."""

import phonenumbers

from ivr.cases.text import clean

REGION = "PL"
LIMIT = 64
"""Characters kept of a text that is no telephone number."""

_NOBODY = frozenset({"", "anonymous", "unknown", "unavailable", "restricted"})


def normalise(raw: str) -> str:
    """Give the number in E.164 where it is a valid one (read in Poland), else the text, cut.

    >>> normalise("601 234 567")
    '+48601234567'
    """
    text = clean(raw.strip(), LIMIT).strip()  # the cut may have ended at a space
    try:
        number = phonenumbers.parse(text, REGION)
    except phonenumbers.NumberParseException:
        return text
    if not phonenumbers.is_valid_number(number):
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def mask(number: str | None) -> str:
    """Hide a number for logs and screens: country code and the last four digits stay.

    What is no E.164 number keeps two characters at most; "anonymous" and its like stay as they are.

    >>> mask("+48601234567")
    '+48*****4567'
    """
    text = number or ""
    if text.lower() in _NOBODY:
        return text
    if text.startswith("+"):
        try:
            parsed = phonenumbers.parse(text, None)
        except phonenumbers.NumberParseException:
            pass
        else:
            code, national = (
                f"+{parsed.country_code}",
                phonenumbers.national_significant_number(parsed),
            )
            shown = min(4, max(0, len(national) - 5))
            return code + "*" * (len(national) - shown) + national[len(national) - shown :]
    shown = 2 if len(text) >= 6 else 0
    return "*" * (len(text) - shown) + text[len(text) - shown :]

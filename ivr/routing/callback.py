"""A callback: a caller's place that goes on moving while the caller has hung up."""

import json
from dataclasses import asdict, dataclass
from typing import Self

import phonenumbers
from phonenumbers import PhoneNumberType

from ivr.cases.numbers import normalise
from ivr.routing.plan import WaitingCall

_ORDINARY = frozenset(
    {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
)
"""Never premium rate, shared cost, satellite or short numbers, of whatever country."""


@dataclass(frozen=True, slots=True)
class Callback:
    """Who is to be called back; times are seconds since the epoch by the board's clock."""

    call: WaitingCall
    """Its `id` is the case; priority and arrival are those of the call."""
    number: str
    """E.164."""
    tries: int = 0
    """How often it has been dialled."""
    not_before: float = 0.0

    def to_json(self) -> str:
        """Give what does not change."""
        return json.dumps({**asdict(self.call), "number": self.number})

    @classmethod
    def from_json(cls, text: str, tried: str = "") -> Self:
        """Read it back; `tried` is "tries not-before"."""
        values = json.loads(text)
        number = values.pop("number")
        tries, _, not_before = tried.partition(" ")
        return cls(WaitingCall(**values), number, int(tries or 0), float(not_before or 0))


def callable_number(raw: str, countries: frozenset[str]) -> str | None:
    """Give the number in E.164 if it is an ordinary one of these countries ("PL"), else None.

    >>> callable_number("601 234 567", frozenset({"PL"}))
    '+48601234567'
    """
    number = normalise(raw)
    if not number.startswith("+"):
        return None
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return None
    ordinary = phonenumbers.number_type(parsed) in _ORDINARY
    return number if ordinary and phonenumbers.region_code_for_number(parsed) in countries else None

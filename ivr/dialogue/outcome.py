"""What a conversation comes to, and the wishes that end it at any moment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToEmergency:
    """To 112 at once; `crisis`: the crisis line is named too, for who thinks of suicide."""

    why: str
    crisis: bool = False


@dataclass(frozen=True, slots=True)
class ToConsultant:
    """To a consultant for this topic; `said` is how the topic was found."""

    topic: str
    said: str


Outcome = ToEmergency | ToConsultant


class EmergencyWishError(Exception):
    """Key 0."""


class PersonWishError(Exception):
    """Key *."""

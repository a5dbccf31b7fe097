"""What who waits is told: the place, the expected wait, and that the hotline can call back."""

from ivr.routing.estimate import Forecast

MINUTE_S = 60
_MOST = 100
"""The largest number there is a recording for."""


def announcement(forecast: Forecast | None, *, callback: bool) -> tuple[str, ...]:
    """Give the prompts' ids; where nothing is known nothing is promised."""
    said: tuple[str, ...] = ()
    if forecast is not None:
        said = ("people-ahead", *number_prompts(forecast.position), *_wait(forecast.expected_s))
    return (*said, "offer-callback") if callback else said


def number_prompts(number: int) -> tuple[str, ...]:
    """Give the recordings of a number from 0 to 100; more is told as 100.

    >>> number_prompts(42)
    ('number-40', 'number-2')
    """
    number = min(max(number, 0), _MOST)
    if number <= 20 or number == _MOST:
        return (f"number-{number}",)
    tens, ones = divmod(number, 10)
    return (f"number-{10 * tens}", f"number-{ones}") if ones else (f"number-{10 * tens}",)


def _wait(seconds: float | None) -> tuple[str, ...]:
    if seconds is None:
        return ()
    if seconds < MINUTE_S:
        return ("less-than-a-minute",)
    minutes = -(-seconds // MINUTE_S)
    if minutes > 10:  # nobody knows it better than to five minutes
        minutes = 5 * round(minutes / 5)
    return ("expected-minutes", *number_prompts(int(minutes)))

"""What the keeping of cases tells the operator when something is wrong, and when it is over."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Part = Literal["journal", "database", "segment", "event"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One alarm, or (`over`) its end."""

    part: Part
    text: str
    over: bool = False


OnProblem = Callable[[Problem], None]


def ignore(problem: Problem) -> None:
    """Drop the problem: the default where nobody listens."""

"""The fewest shifts that cover what each hour needs."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp  # type: ignore[import-untyped]

from ivr.errors import HotlineError


def fewest_shifts(need: Sequence[int], hours: int) -> list[int]:
    """How many begin at each hour so that every hour has those it needs, each staying `hours`.

    `need` is a whole day, and every day is alike: who begins late stays into the next morning.
    Of the ways with the fewest people, any.

    >>> fewest_shifts([0, 0, 2, 2, 0, 0], 2)
    [0, 0, 2, 0, 0, 0]
    """
    size = len(need)
    begins, hour = np.meshgrid(np.arange(size), np.arange(size))
    there = (hour - begins) % size < hours
    answer = milp(
        np.ones(size),
        integrality=np.ones(size),
        bounds=Bounds(0, np.inf),
        constraints=LinearConstraint(there.astype(float), lb=np.array(need, dtype=float)),
    )
    if not answer.success:
        raise HotlineError(f"no shifts of {hours} hours cover the need: {answer.message}")
    return [round(number) for number in answer.x]

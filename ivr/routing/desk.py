"""What consultants do to their own state: log in and out, pause, end the wrap-up early."""

from typing import Literal

from ivr.routing.board import Board
from ivr.routing.snapshot import State

Wish = Literal["available", "offline", "paused"]
Reason = Literal["pause", "break", "training", "admin"]
REASONS: dict[str, Reason] = {"0": "pause", "1": "break", "2": "training", "3": "admin"}
"""Pauses by the digit after `*13`; "no_answer" is the system's own."""
_FROM: dict[Wish, tuple[State, ...]] = {
    "available": ("offline", "paused", "wrap_up", "available"),
    "offline": ("available", "paused", "wrap_up", "offline"),
    "paused": ("available", "paused", "wrap_up", "offline"),
}


async def change(board: Board, consultant: str, wish: Wish, reason: Reason | None = None) -> bool:
    """Change a consultant's state; False while a call is reserved, rings or is talked.

    "available" logs in, and ends a pause or the wrap-up. Raises BoardDownError.
    """
    why = (reason or "pause") if wish == "paused" else ""
    return await board.move(consultant, wish, expected=_FROM[wish], reason=why)

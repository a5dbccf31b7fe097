"""Feature codes a consultant dials: log in, log out, pause, end wrap-up."""

import re

from ivr.asterisk.agi_session import AgiSession
from ivr.routing.board import Board, BoardDownError

REASONS = {"0": "pause", "1": "break", "2": "training", "3": "admin"}
_CHANNEL = re.compile(r"PJSIP/([0-9]+)-")


async def serve_feature(session: AgiSession, board: Board, consultants: set[str]) -> None:
    """Serve one code; the tone tells: a short "thank you" for done, hang-up for refused."""
    match = _CHANNEL.match(session.channel)
    if match is None or match[1] not in consultants:
        return
    consultant, wish = match[1], session.path.removeprefix("consultant/")
    try:
        done = await _change(board, consultant, wish, session.args)
    except BoardDownError:
        done = False
    if done:
        await session.answer()
        await session.stream_file("hotline/thank-you", timeout=10)


async def _change(board: Board, consultant: str, wish: str, args: tuple[str, ...]) -> bool:
    if wish == "available":
        return await board.move(
            consultant, "available", expected=("offline", "paused", "wrap_up", "available")
        )
    if wish == "offline":
        return await board.move(
            consultant, "offline", expected=("available", "paused", "wrap_up", "offline")
        )
    reason = REASONS.get(args[0] if args else "0")
    if wish != "pause" or reason is None:
        return False
    return await board.move(
        consultant, "paused", expected=("available", "paused", "wrap_up", "offline"), reason=reason
    )

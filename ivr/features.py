"""Feature codes a consultant dials: log in, log out, pause, end wrap-up."""

import re

from ivr.asterisk.agi_session import AgiSession
from ivr.routing.board import Board, BoardDownError
from ivr.routing.desk import REASONS, change

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
    match wish:
        case "available" | "offline":
            return await change(board, consultant, wish)
        case "pause" if reason := REASONS.get(args[0] if args else "0"):
            return await change(board, consultant, "paused", reason)
    return False

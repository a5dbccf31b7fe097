r"""Consultants' states over HTTP: to be read, and to log in, log out and pause.

::

    curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8119/api/consultants
    curl -H "Authorization: Bearer $TOKEN" -d '{"state": "paused", "reason": "break"}' \
        http://127.0.0.1:8119/api/consultants/101/state

The token is `api` in the state folder's `secrets.json`.
"""

import hmac
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from ivr.routing.board import Board, BoardDownError
from ivr.routing.desk import Reason, Wish, change
from ivr.routing.snapshot import ConsultantState


class _Change(BaseModel):
    model_config = ConfigDict(extra="forbid")

    state: Wish
    reason: Reason | None = None


class ConsultantsApi:
    """`names` gives everybody's name by extension, as configured now."""

    def __init__(self, board: Board, names: Callable[[], Mapping[str, str]], token: str):
        self._board, self._names = board, names
        self._bearer = f"Bearer {token}".encode()

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/api/consultants", self._list)
        app.router.add_post("/api/consultants/{id}/state", self._change)

    async def _list(self, request: web.Request) -> web.Response:
        if not self._authorised(request):
            return _refusal(401, "Authorization: Bearer <api of secrets.json> is missing")
        names = self._names()
        try:
            snapshot = await self._board.snapshot(list(names))
        except BoardDownError:
            return _refusal(503, "Redis is away: start it again")
        rows = [
            _row(state, names[state.id], snapshot.now) for state in snapshot.consultants.values()
        ]
        return web.json_response(rows, headers={"Cache-Control": "no-store"})

    async def _change(self, request: web.Request) -> web.Response:
        if not self._authorised(request):
            return _refusal(401, "Authorization: Bearer <api of secrets.json> is missing")
        consultant = request.match_info["id"]
        names = self._names()
        if consultant not in names:
            return _refusal(404, "there is no such consultant in consultants.yaml")
        try:
            wish = _Change.model_validate_json(await request.read())
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the body"
            return _refusal(422, f"{where}: {first['msg']}")
        try:
            done = await change(self._board, consultant, wish.state, wish.reason)
            snapshot = await self._board.snapshot([consultant])
        except BoardDownError:
            return _refusal(503, "Redis is away: start it again")
        state = snapshot.consultants[consultant]
        row = _row(state, names[consultant], snapshot.now)
        if not done:
            return _refusal(409, f"not while {state.state}: hang up first")
        return web.json_response(row)

    def _authorised(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").encode()
        return hmac.compare_digest(given, self._bearer)


def _row(state: ConsultantState, name: str, now: float) -> dict[str, Any]:
    return {
        "id": state.id,
        "name": name,
        "state": state.state,
        "reason": state.reason,
        "for_s": round(max(0.0, now - state.since), 3),
        "telephone": state.device,
        "node": state.node,
        "call": state.call,
    }


def _refusal(status: int, error: str) -> web.Response:
    return web.json_response({"error": error}, status=status)

"""Consultants' states over HTTP, against a real Redis: who may, what is refused and why."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from routing_data import call

from ivr.processes import Server
from ivr.routing.board import Board
from ivr.web.consultants import ConsultantsApi

TOKEN = {"Authorization": "Bearer secret"}
Client = TestClient[web.Request, web.Application]


@asynccontextmanager
async def api(redis: tuple[Server, str]) -> AsyncIterator[tuple[Client, Board]]:
    board = Board(redis[1], "a", timeout_s=0.5)
    app = web.Application(client_max_size=10_000)
    ConsultantsApi(board, lambda: {"101": "Anna Nowak"}, "secret").add_to(app)
    try:
        await board.heartbeat(60)
        await board.set_device("101", "idle")
        async with TestClient(TestServer(app, host="127.0.0.1")) as client:
            yield client, board
    finally:
        await board.close()


async def post(
    client: Client, body: Any, who: str = "101", headers: dict[str, str] = TOKEN
) -> tuple[int, Any]:
    async with client.post(f"/api/consultants/{who}/state", json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_states_are_read_and_changed(redis_server: tuple[Server, str]) -> None:
    async with api(redis_server) as (client, board):
        for state, reason in (
            ("paused", "break"), ("offline", None), ("available", None), ("paused", "training"),
        ):  # fmt: skip
            body = {"state": state} if reason is None else {"state": state, "reason": reason}
            status, row = await post(client, body)
            assert (status, row["state"], row["reason"]) == (200, state, reason or "")
            assert row["name"] == "Anna Nowak"
            seen = (await board.snapshot(["101"])).consultants["101"]
            assert (seen.state, seen.reason) == (state, reason or "")
        async with client.get("/api/consultants", headers=TOKEN) as answer:
            (row,) = await answer.json()
        assert (row["id"], row["state"], row["telephone"]) == ("101", "paused", "idle")
        assert 0 <= row["for_s"] < 10


async def test_a_wrap_up_is_ended_early(redis_server: tuple[Server, str]) -> None:
    async with api(redis_server) as (client, board):
        await board.move("101", "wrap_up", lease_s=60)
        assert (await post(client, {"state": "available"}))[0] == 200
        assert (await board.snapshot(["101"])).consultants["101"].free


async def test_a_call_on_its_way_is_not_escaped(redis_server: tuple[Server, str]) -> None:
    async with api(redis_server) as (client, board):
        await board.join(call("c1"))
        await board.offer("c1", "101", 30)
        status, row = await post(client, {"state": "paused"})
        assert (status, row["error"]) == (409, "not while reserved: hang up first")
        assert (await board.snapshot(["101"])).consultants["101"].state == "reserved"


@pytest.mark.parametrize(
    ("body", "who", "headers", "status"),
    [
        ({"state": "paused"}, "101", {}, 401),
        ({"state": "paused"}, "101", {"Authorization": "Bearer sécret"}, 401),
        ({"state": "paused"}, "999", TOKEN, 404),
        ({"state": "talking"}, "101", TOKEN, 422),
        ({"state": "paused", "reason": "no_answer"}, "101", TOKEN, 422),
        ({"state": "paused", "more": 1}, "101", TOKEN, 422),
        ([], "101", TOKEN, 422),
        ("", "101", TOKEN, 422),
    ],
)
async def test_what_is_wrong_is_refused_and_changes_nothing(
    redis_server: tuple[Server, str], body: Any, who: str, headers: dict[str, str], status: int
) -> None:
    async with api(redis_server) as (client, board):
        given, answer = await post(client, body, who, headers)
        assert given == status
        assert answer["error"]
        assert (await board.snapshot(["101"])).consultants["101"].free


async def test_garbage_and_too_much_are_refused(redis_server: tuple[Server, str]) -> None:
    async with api(redis_server) as (client, board):
        url = "/api/consultants/101/state"
        for data, status in ((b"\xff\xfe{", 422), (b"x" * 20_000, 413)):
            async with client.post(url, data=data, headers=TOKEN) as answer:
                assert answer.status == status
        assert (await board.snapshot(["101"])).consultants["101"].free


async def test_without_redis_it_says_so(redis_server: tuple[Server, str]) -> None:
    async with api(redis_server) as (client, _):
        redis_server[0].kill()
        await redis_server[0].wait()
        status, answer = await post(client, {"state": "paused"})
        assert (status, answer["error"]) == (503, "Redis is away: start it again")

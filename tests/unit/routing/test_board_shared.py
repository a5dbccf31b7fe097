"""The board between nodes, versions and servers; its clock, and the callbacks on it."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis
from routing_data import call

from ivr.errors import HotlineError
from ivr.processes import Server
from ivr.routing.board import Board, BoardDownError, BoardVersionError
from ivr.routing.callback import Callback, callable_number
from ivr.routing.redis_link import parse_address

NUMBER = "+48601234567"


@asynccontextmanager
async def board_at(url: str, owner: str = "a", node: str = "a") -> AsyncIterator[Board]:
    board = Board(url, owner, timeout_s=2, node=node)
    try:
        await board.heartbeat(60)
        yield board
    finally:
        await board.close()


@asynccontextmanager
async def raw(url: str) -> AsyncIterator[Redis]:
    client: Redis = Redis.from_url(url, decode_responses=True)
    try:
        yield client
    finally:
        await client.aclose()


# ---- the clock


async def test_the_clock_never_goes_back_when_that_of_redis_does(
    redis_server: tuple[Server, str],
) -> None:
    url = redis_server[1]
    async with board_at(url) as board, raw(url) as client:
        before = await board.now()
        # As if Redis's own clock had stood an hour later until now.
        await client.hset("{hotline}:clock", "last", str(before + 3600))
        jumped = await board.now()
        assert jumped >= before + 3600
        await asyncio.sleep(0.2)
        assert 0.15 < await board.now() - jumped < 2, "and it goes on at its usual pace"


async def test_a_jump_of_the_clock_ends_no_lease_early_and_keeps_the_order(
    redis_server: tuple[Server, str],
) -> None:
    url = redis_server[1]
    async with board_at(url) as board, raw(url) as client:
        first_at = await board.now()
        await board.join(replace(call("first"), arrived_at=first_at))
        await board.set_device("101", "idle")
        assert await board.offer("first", "101", 30)
        last = await client.hget("{hotline}:clock", "last")
        await client.hset("{hotline}:clock", "last", str(float(last or 0) + 5))
        assert await board.now() > first_at, "who comes now is behind who came before"
        assert await board.expire("101") == ""


async def test_a_redis_without_its_memory_goes_on_from_the_latest_time_known(
    redis_server: tuple[Server, str],
) -> None:
    url = redis_server[1]
    async with board_at(url) as board, raw(url) as client:
        await client.hset("{hotline}:clock", "last", str(await board.now() + 1000))
        await board.heartbeat(60)
        ahead = await board.now()
        await board.snapshot([])
        await client.flushall()
        await board.heartbeat(60)
        assert await board.now() >= ahead


# ---- versions


async def test_a_board_of_another_version_is_not_touched(redis_server: tuple[Server, str]) -> None:
    url = redis_server[1]
    async with board_at(url) as board, raw(url) as client:
        await client.set("{hotline}:version", "3")
        with pytest.raises(BoardVersionError, match=r"version 3.*database of its own"):
            await board.heartbeat(60)
        assert await client.get("{hotline}:version") == "3"


async def test_who_was_paused_on_a_board_of_version_one_stays_so(
    redis_server: tuple[Server, str],
) -> None:
    url = redis_server[1]
    async with raw(url) as client:
        for name, state in (("101", "paused"), ("102", "offline"), ("103", "talking")):
            await client.hset(
                f"hotline:consultant:{name}",
                mapping={"state": state, "since": "5.5", "reason": "break", "device": "idle"},
            )
        await client.hset("hotline:waiting", "c1", "{}")
        board = Board(url, "a", timeout_s=2)
        try:
            await board.adopt(["101", "102", "103"])
            await board.heartbeat(60)
            for name in ("101", "102", "103"):
                await board.set_device(name, "idle")
            states = (await board.snapshot(["101", "102", "103"])).consultants
            assert (states["101"].state, states["101"].reason) == ("paused", "break")
            assert states["102"].state == "offline"
            assert states["103"].free, "a talk of back then is no talk any more"
            assert not await client.keys("hotline:*"), "nothing of it is read twice"
            await board.move("101", "available")
            await board.adopt(["101"])
            assert (await board.snapshot(["101"])).consultants["101"].free
        finally:
            await board.close()


# ---- several nodes


async def test_a_telephone_is_known_by_its_node(redis_server: tuple[Server, str]) -> None:
    url = redis_server[1]
    async with board_at(url, "one", "a") as one, board_at(url, "two", "b") as two:
        await one.set_device("101", "unavailable")
        await two.set_device("101", "idle")
        seen = (await one.snapshot(["101"])).consultants["101"]
        assert (seen.device, seen.node, seen.free) == ("idle", "b", True)
        await one.set_device("101", "busy")  # the same consultant at a second telephone
        assert (await two.snapshot(["101"])).consultants["101"].device == "busy"
        await one.join(call("c1"))
        assert not await two.offer("c1", "101", 5)


async def test_the_telephones_of_a_dead_node_are_unavailable(
    redis_server: tuple[Server, str],
) -> None:
    url = redis_server[1]
    async with board_at(url, "one", "a") as one, board_at(url, "two", "b") as two:
        await two.set_device("101", "idle")
        await one.set_device("102", "idle")
        await one.join(call("c1"))
        await two.heartbeat(0.3)
        async with asyncio.timeout(5):
            while (await one.snapshot(["101"])).consultants["101"].device != "unavailable":
                await asyncio.sleep(0.02)
        assert not await one.offer("c1", "101", 5)
        assert await one.offer("c1", "102", 5)
        await two.heartbeat(60)
        assert (await one.snapshot(["101"])).consultants["101"].free, "and back with its node"


async def test_a_process_without_its_asterisk_vouches_for_no_telephone(
    redis_server: tuple[Server, str],
) -> None:
    url = redis_server[1]
    board = Board(url, "one", timeout_s=2)
    try:
        await board.heartbeat(60, telephones=False)
        await board.set_device("101", "idle")
        assert (await board.snapshot(["101"])).consultants["101"].device == "unavailable"
    finally:
        await board.close()


async def test_an_offer_its_consultant_knows_nothing_of_is_mended(
    redis_server: tuple[Server, str],
) -> None:
    url = redis_server[1]
    async with board_at(url) as board, raw(url) as client:
        await board.set_device("101", "idle")
        await board.join(call("c1"))
        await client.hset("{hotline}:offered", "c1", "101")
        assert not await board.offer("c1", "101", 5), "looks offered"
        assert await board.mend("c1", "101")
        assert await board.offer("c1", "101", 5)
        assert not await board.mend("c1", "101"), "a real one is left alone"


async def test_a_new_telephone_may_have_to_log_in_first(redis_server: tuple[Server, str]) -> None:
    board = Board(redis_server[1], "one", timeout_s=2, newcomers="offline")
    try:
        await board.heartbeat(60)
        await board.set_device("101", "idle")
        assert (await board.snapshot(["101"])).consultants["101"].state == "offline"
        await board.move("101", "available", expected=("offline",))
        await board.set_device("101", "unavailable")
        await board.set_device("101", "idle")
        assert (await board.snapshot(["101"])).consultants["101"].free, "and stays logged in"
    finally:
        await board.close()


# ---- callbacks


async def test_one_callback_for_a_number(redis_server: tuple[Server, str]) -> None:
    async with board_at(redis_server[1]) as board:
        first, second = Callback(call("c1"), NUMBER), Callback(call("c2"), NUMBER)
        assert await board.ask_callback(first, 10) == "c1"
        assert await board.ask_callback(second, 10) == "c1"
        assert await board.callback_of(NUMBER) == first
        other = Callback(call("c3"), "+48602345678")
        assert await board.ask_callback(other, 1) == "", "too many"
        assert await board.end_callback(first)
        assert not await board.end_callback(first), "one process ends it"
        assert await board.callback_of(NUMBER) is None
        assert await board.ask_callback(second, 10) == "c2"


async def test_a_callback_is_offered_like_a_caller(redis_server: tuple[Server, str]) -> None:
    async with board_at(redis_server[1]) as board:
        await board.set_device("101", "idle")
        assert not await board.offer("c1", "101", 5)
        await board.ask_callback(Callback(call("c1"), NUMBER), 10)
        assert await board.offer("c1", "101", 5)


async def test_tries_are_counted_and_the_next_one_waits(redis_server: tuple[Server, str]) -> None:
    async with board_at(redis_server[1]) as board:
        callback = Callback(call("c1"), NUMBER)
        assert await board.try_callback(callback, 9, per_minute=9, per_day=9) == "gone"
        await board.ask_callback(callback, 10)
        now = await board.now()
        assert await board.try_callback(callback, 60, per_minute=9, per_day=9) == "dial"
        tried = (await board.snapshot([])).callbacks["c1"]
        assert tried.tries == 1
        assert 59 < tried.not_before - now < 62


async def test_dialling_is_capped_by_the_minute_and_the_day(
    redis_server: tuple[Server, str],
) -> None:
    async with board_at(redis_server[1]) as board:
        callback = Callback(call("c1"), NUMBER)
        await board.ask_callback(callback, 10)
        assert await board.try_callback(callback, 0, per_minute=1, per_day=9) == "dial"
        assert await board.try_callback(callback, 0, per_minute=1, per_day=9) == "full"
        assert await board.try_callback(callback, 0, per_minute=9, per_day=1) == "full"
        later = (await board.snapshot([])).callbacks["c1"]
        assert later.tries == 0, "what was not dialled is no try"
        assert later.not_before > await board.now() + 5
        assert await board.try_callback(callback, 0, per_minute=9, per_day=9) == "dial"


@pytest.mark.parametrize(
    ("raw_number", "wanted"),
    [
        ("601 234 567", "+48601234567"),
        ("+48221911500", "+48221911500"),
        ("+48701234567", None),  # premium rate
        ("+48801234567", None),  # shared cost
        ("+447700900123", None),  # another country
        ("19115", None),
        ("112", None),
        ("anonymous", None),
        ("", None),
        ("+48601234567;drop", None),
    ],
)
def test_only_ordinary_numbers_are_called_back(raw_number: str, wanted: str | None) -> None:
    assert callable_number(raw_number, frozenset({"PL"})) == wanted


# ---- addresses of several servers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def redis(folder: Path, port: int, *more: str, config: str = "") -> AsyncIterator[Server]:
    program = shutil.which("redis-server")
    assert program, "redis-server is missing: apt-get install redis-server"
    folder.mkdir()
    file = folder / "redis.conf"
    file.write_text(f"bind 127.0.0.1\nport {port}\ndir {folder}\nsave ''\n{config}")

    async def ready() -> bool:
        async with raw(f"redis://127.0.0.1:{port}") as client:
            try:
                return bool(await client.ping())
            except Exception:
                return False

    server = Server("Redis", [program, str(file), *more], log=folder / "log", ready=ready)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def works(board: Board) -> None:
    await board.heartbeat(60)
    await board.set_device("101", "idle")
    await board.join(call("c1"))
    assert await board.offer("c1", "101", 30)
    snapshot = await board.snapshot(["101"])
    assert (snapshot.offered, snapshot.consultants["101"].call) == ({"c1": "101"}, "c1")


async def test_a_cluster_serves_as_a_board(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(3)]
    enabled = "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-node-timeout 2000\n"
    async with AsyncExitStack() as stack:
        for port in ports:
            bus = f"cluster-port {free_port()}\n"
            await stack.enter_async_context(redis(tmp_path / str(port), port, config=enabled + bus))
        addresses = [f"127.0.0.1:{port}" for port in ports]
        maker = await asyncio.create_subprocess_exec(
            "redis-cli", "--cluster", "create", *addresses, "--cluster-yes",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(60):
            said, _ = await maker.communicate()
        assert maker.returncode == 0, said
        board = Board(f"redis+cluster://{','.join(addresses)}", "one", timeout_s=2)
        stack.push_async_callback(board.close)
        async with asyncio.timeout(30):
            while True:
                try:
                    await board.heartbeat(60)
                    break
                except BoardDownError:  # the nodes have not yet all heard of each other
                    await asyncio.sleep(0.2)
        await works(board)
        changes = board.changes()
        async with asyncio.timeout(10):
            await anext(changes)
            await board.join(call("c2"))
            await anext(changes)
        await changes.aclose()  # type: ignore[attr-defined]


async def test_sentinels_lead_to_the_new_master(tmp_path: Path) -> None:
    main, copy, watcher = (free_port() for _ in range(3))
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(redis(tmp_path / "main", main))
        follows = f"replicaof 127.0.0.1 {main}\n"
        await stack.enter_async_context(redis(tmp_path / "copy", copy, config=follows))
        watches = (
            f"sentinel monitor city 127.0.0.1 {main} 1\n"
            "sentinel down-after-milliseconds city 1000\nsentinel failover-timeout city 3000\n"
        )
        await stack.enter_async_context(
            redis(tmp_path / "watch", watcher, "--sentinel", config=watches)
        )
        board = Board(f"redis+sentinel://127.0.0.1:{watcher}/city/0", "one", timeout_s=1)
        stack.push_async_callback(board.close)
        await works(board)
        async with raw(f"redis://127.0.0.1:{copy}") as client, asyncio.timeout(20):
            while not await client.exists("{hotline}:waiting"):
                await asyncio.sleep(0.1)
        first.kill()
        await first.wait()
        async with asyncio.timeout(60):
            while True:
                try:
                    snapshot = await board.snapshot(["101"])
                    await board.heartbeat(60)
                    break
                except BoardDownError:
                    await asyncio.sleep(0.2)
        assert [one.id for one in snapshot.waiting] == ["c1"], "nobody has lost the place"
        assert snapshot.consultants["101"].call == "c1"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("redis+sentinel://host:1", "the name of the master is missing"),
        ("redis+sentinel://host:x/city", "is not host:port"),
        ("redis+sentinel://h/city/two", "the database is no number"),
        ("redis+cluster://h:1,:2", "is not host:port"),
        ("redis+cluster://h:1/0", "a Cluster has no databases"),
    ],
)
def test_addresses_that_cannot_be_used_are_refused(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_address(url)
    with pytest.raises(HotlineError, match=complaint):
        Board(url, "one", timeout_s=1)


def test_an_address_of_several_servers_is_read() -> None:
    address = parse_address("redis+sentinel://u:p%40ss@one:1,two/city/3")
    assert address is not None
    assert address.hosts == (("one", 1), ("two", 26379))
    assert (address.master, address.database) == ("city", 3)
    assert (address.username, address.password) == ("u", "p@ss")

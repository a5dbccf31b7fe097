"""The live board in Redis: who waits, what each consultant does; shared by all processes.

Every change is one Lua script (compare and set), so processes need no leader: each computes the
same plan and commits the offers of its own callers.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Literal, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from ivr.errors import HotlineError
from ivr.routing import scripts
from ivr.routing.callback import Callback
from ivr.routing.plan import WaitingCall
from ivr.routing.redis_link import close, connect
from ivr.routing.snapshot import Device, Snapshot, State, consultant_state, pairs

Try = Literal["dial", "full", "gone"]


class BoardDownError(Exception):
    """Redis does not answer: callers are handed to Asterisk's own queue until it does."""


class BoardVersionError(BoardDownError):
    """The board in Redis was written by another version: it is not read."""


class Board:
    """The board, seen by one process named `owner` at the Asterisk node `node`.

    `newcomers`: the state of a consultant whose telephone is seen for the first time. All methods
    raise BoardDownError.
    """

    def __init__(
        self,
        url: str,
        owner: str,
        *,
        timeout_s: float,
        node: str = "a",
        newcomers: State = "available",
        prefix: str = "{hotline}:",
    ):
        try:
            self._redis = connect(url, timeout_s)
            self._listener = connect(url, timeout_s)
        except ValueError as error:
            raise HotlineError(f"[redis] url: {error}") from None
        self.owner, self.node, self._newcomers = owner, node, newcomers
        self._timeout_s = timeout_s
        self._prefix = prefix
        self._latest = 0.0
        self._scripts: dict[str, Any] = {}

    async def close(self) -> None:
        """Close the connections."""
        for client in (self._redis, self._listener):
            await close(client)

    async def now(self) -> float:
        """The board's clock, seconds since the epoch; also tells whether Redis is there."""
        return float(cast(str, await self._run(scripts.CLOCK, [], [])))

    async def heartbeat(self, ttl_s: float, *, telephones: bool = True) -> None:
        """Tell the others that this process lives, for `ttl_s` seconds.

        `telephones`: it also sees the telephones of its node. Raises BoardVersionError when the
        board is of another version.
        """
        node = self.node if telephones else ""
        kind, value = cast(
            list[str],
            await self._run(
                scripts.HEARTBEAT, ["version"],
                [self.owner, node, ttl_s, self._latest, scripts.VERSION],
            ),
        )  # fmt: skip
        if kind == "version":
            raise BoardVersionError(
                f"the board in Redis is of version {value}, this program knows {scripts.VERSION}: "
                "give each version a Redis database of its own ([redis] url)"
            )
        self._latest = float(value)

    async def adopt(self, consultants: Sequence[str]) -> None:
        """Take over from a board of version 1 who is paused or logged out, once."""
        client = cast(Redis, self._redis)
        async with self._deadline():
            if await client.exists(self._prefix + "version"):
                return
            for consultant in consultants:
                old = f"hotline:{_of(consultant)}"
                before = await client.hgetall(old)
                if before.get("state") in ("paused", "offline"):
                    kept: Any = {key: before[key] for key in _ADOPTED if key in before}
                    await client.hset(self._prefix + _of(consultant), mapping=kept)
                await client.delete(old)
            await client.delete("hotline:waiting", "hotline:offered")

    async def join(self, call: WaitingCall) -> None:
        """Put a caller on the board; again is harmless."""
        value = json.dumps({**asdict(call), "owner": self.owner})
        await self._run(scripts.JOIN, ["waiting"], [call.id, value])

    async def leave(self, call: str) -> None:
        """Take a caller off the board, with what was offered for it."""
        await self._run(scripts.LEAVE, ["waiting", "offered"], [call])

    async def withdraw_offer(self, call: str) -> None:
        """Forget the offer of a caller who goes on waiting."""
        await self._run(scripts.WITHDRAW, ["offered"], [call])

    async def reclaim(self, call: str, consultant: str, lease_s: float) -> bool:
        """Put an offer back that Redis has forgotten; False when the consultant has another."""
        keys = ["offered", _of(consultant)]
        return bool(await self._run(scripts.RECLAIM, keys, [call, consultant, lease_s]))

    async def offer(self, call: str, consultant: str, lease_s: float) -> bool:
        """Reserve a consultant for a caller; False when either is no longer to be had."""
        keys = ["waiting", "callbacks", "offered", _of(consultant)]
        return bool(await self._run(scripts.OFFER, keys, [call, consultant, lease_s]))

    async def move(
        self,
        consultant: str,
        state: State,
        *,
        call: str = "",
        expected: Iterable[State] = (),
        reason: str = "",
        lease_s: float = 0,
        keep_call: bool = False,
        renew: bool = False,
    ) -> bool:
        """Change a consultant's state if `call` and `expected` hold; False when they do not."""
        arguments: list[str | float] = [
            call, ",".join(expected), state, reason, lease_s, int(keep_call), int(renew),
        ]  # fmt: skip
        return bool(await self._run(scripts.MOVE, ["offered", _of(consultant)], arguments))

    async def set_device(self, consultant: str, device: Device, *, node: str | None = None) -> bool:
        """Note the state of a telephone at a node (None: the own); True when it is another."""
        arguments: list[str | float] = [
            device, self.node if node is None else node, self._newcomers,
        ]  # fmt: skip
        return bool(await self._run(scripts.DEVICE, [_of(consultant)], arguments))

    async def expire(self, consultant: str) -> str:
        """End a state whose lease is over; returns that state, or '' when nothing was to do."""
        return str(
            await self._run(
                scripts.EXPIRE, ["offered", _of(consultant), "waiting", "callbacks"], []
            )
        )

    async def mend(self, call: str, consultant: str) -> bool:
        """Forget an offer that its consultant knows nothing of; True when there was one."""
        return bool(await self._run(scripts.MEND, ["offered", _of(consultant)], [call]))

    async def ask_callback(self, callback: Callback, most: int) -> str:
        """Put a callback on the board, unless there is one for the number or there are `most`.

        Returns the call whose callback the number has now, '' when there are too many.
        """
        keys = ["callbacks", "callback_numbers", "callback_tries"]
        arguments: list[str | float] = [
            callback.call.id, callback.number, callback.to_json(), callback.tries,
            callback.not_before, most,
        ]  # fmt: skip
        return str(await self._run(scripts.ASK_CALLBACK, keys, arguments))

    async def try_callback(
        self, callback: Callback, again_after_s: float, *, per_minute: int, per_day: int
    ) -> Try:
        """Note that a callback is dialled now, for the `tries + 1`st time, if that many may be."""
        arguments: list[str | float] = [
            callback.call.id, callback.tries + 1, again_after_s, per_minute, per_day,
        ]  # fmt: skip
        keys = ["callbacks", "callback_tries", "dials"]
        return cast(Try, await self._run(scripts.TRY_CALLBACK, keys, arguments))

    async def end_callback(self, callback: Callback) -> bool:
        """Take a callback off the board; False when another process was quicker."""
        keys = ["callbacks", "callback_numbers", "callback_tries"]
        arguments: list[str | float] = [callback.call.id, callback.number]
        return bool(await self._run(scripts.END_CALLBACK, keys, arguments))

    async def callback_of(self, number: str) -> Callback | None:
        """The callback that a number waits for."""
        text = await self._run(scripts.CALLBACK_OF, ["callbacks", "callback_numbers"], [number])
        return Callback.from_json(cast(str, text)) if text else None

    async def snapshot(self, consultants: Sequence[str]) -> Snapshot:
        """Read the whole board; callers of processes that died are dropped from it."""
        keys = ["waiting", "offered", "callbacks", "callback_tries", *map(_of, consultants)]
        now_text, alive, waiting, offered, callbacks, tries, states = cast(
            list[Any], await self._run(scripts.SNAPSHOT, keys, [])
        )
        now = self._latest = float(now_text)
        living = {who for who, until in pairs(alive).items() if float(until) > now}
        entries = {call: json.loads(value) for call, value in pairs(waiting).items()}
        owners = {call: str(entry.pop("owner")) for call, entry in entries.items()}
        for call, owner in list(owners.items()):
            if owner != self.owner and f"p:{owner}" not in living:
                await self.leave(call)
                del owners[call], entries[call]
        tried = pairs(tries)
        return Snapshot(
            now,
            tuple(WaitingCall(**entry) for entry in entries.values()),
            owners,
            pairs(offered),
            {
                name: consultant_state(name, pairs(fields), living)
                for name, fields in zip(consultants, states, strict=True)
            },
            {
                call: Callback.from_json(text, tried.get(call, ""))
                for call, text in pairs(callbacks).items()
            },
        )

    async def changes(self) -> AsyncIterator[None]:
        """Yield once at the start and whenever any process changes the board."""
        try:
            await self._listener.initialize()  # a Cluster's client must know its servers
            async with self._listener.pubsub() as pubsub:
                await pubsub.subscribe(self._channel)
                yield
                async for message in pubsub.listen():
                    if message["type"] == "message":
                        yield
        except (RedisError, OSError, TimeoutError) as error:
            raise BoardDownError(str(error)) from error

    @property
    def _channel(self) -> str:
        return self._prefix + "changed"

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        # Not redis-py's own socket_timeout: its sending goes through asyncio.wait_for, which before
        # Python 3.12 can swallow a cancellation, and then who was cancelled goes on for ever.
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except (RedisError, OSError, TimeoutError) as error:
            raise BoardDownError(str(error) or "it does not answer") from error

    async def _run(
        self, text: str, keys: Sequence[str], arguments: Sequence[str | float]
    ) -> object:
        script = self._scripts.get(text)
        if script is None:
            script = self._scripts[text] = cast(Redis, self._redis).register_script(text)
        names = [self._prefix + key for key in ("clock", "alive", *keys)]
        async with self._deadline():
            return await script(keys=names, args=[*arguments, self._channel])


_ADOPTED = ("state", "since", "reason")


def _of(consultant: str) -> str:
    return f"consultant:{consultant}"

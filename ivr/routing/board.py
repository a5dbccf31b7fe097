"""The live board in Redis: who waits, what each consultant does; shared by all processes.

Every change is one Lua script (compare and set), so processes need no leader: each computes the
same plan and commits the offers of its own callers.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Literal, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ivr.routing import scripts
from ivr.routing.plan import WaitingCall

State = Literal["offline", "available", "reserved", "ringing", "talking", "wrap_up", "paused"]
Device = Literal["idle", "busy", "unavailable"]


class BoardDownError(Exception):
    """Redis does not answer: callers are handed to Asterisk's own queue until it does."""


@dataclass(frozen=True, slots=True)
class ConsultantState:
    """One consultant on the board; times are seconds since the epoch by Redis's clock."""

    id: str
    state: State
    since: float
    device: Device
    call: str
    reason: str
    lease: float | None

    @property
    def free(self) -> bool:
        """Whether a call may be offered now."""
        return self.state == "available" and self.device == "idle"

    @property
    def on_duty(self) -> bool:
        """Whether the consultant is logged in at a telephone that is there."""
        return self.state != "offline" and self.device != "unavailable"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The board at one moment."""

    now: float
    waiting: tuple[WaitingCall, ...]
    owners: dict[str, str]
    offered: dict[str, str]
    consultants: dict[str, ConsultantState]


class Board:
    """The board, seen by one process named `owner`. All methods raise BoardDownError."""

    def __init__(self, url: str, owner: str, *, timeout_s: float, prefix: str = "hotline:"):
        # One retry: after a restart of Redis each pooled connection finds out for itself that it is
        # dead. A script that ran although its answer was lost says no the second time: harmless.
        self._redis: Redis = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=None,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1),
        )
        self._listener: Redis = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=None,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1),
        )
        self.owner = owner
        self._timeout_s = timeout_s
        self._prefix = prefix
        self._waiting, self._offered = prefix + "waiting", prefix + "offered"
        self._channel = prefix + "changed"
        self._offer = self._redis.register_script(scripts.OFFER)
        self._move = self._redis.register_script(scripts.MOVE)
        self._device = self._redis.register_script(scripts.DEVICE)
        self._expire = self._redis.register_script(scripts.EXPIRE)

    def _key(self, consultant: str) -> str:
        return f"{self._prefix}consultant:{consultant}"

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
        await self._listener.aclose()

    async def now(self) -> float:
        """Redis's clock, seconds since the epoch; also tells whether Redis is there."""
        async with self._deadline():
            seconds, micros = await self._redis.time()
        return float(seconds) + float(micros) / 1e6

    async def heartbeat(self, ttl_s: float) -> None:
        """Tell the others that this process lives, for `ttl_s` seconds."""
        async with self._deadline():
            await self._redis.set(f"{self._prefix}process:{self.owner}", "1", px=int(ttl_s * 1000))

    async def join(self, call: WaitingCall) -> None:
        """Put a caller on the board; again is harmless."""
        value = json.dumps({**asdict(call), "owner": self.owner})
        await self._write(lambda p: p.hset(self._waiting, call.id, value))

    async def leave(self, call: str) -> None:
        """Take a caller off the board, with what was offered for it."""
        await self._write(lambda p: (p.hdel(self._waiting, call), p.hdel(self._offered, call)))

    async def withdraw_offer(self, call: str) -> None:
        """Forget the offer of a caller who goes on waiting."""
        await self._write(lambda p: p.hdel(self._offered, call))

    async def offer(self, call: str, consultant: str, lease_s: float) -> bool:
        """Reserve a consultant for a caller; False when either is no longer to be had."""
        keys = [self._waiting, self._offered, self._key(consultant)]
        return bool(await self._run(self._offer, keys, [call, consultant, lease_s]))

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
        return bool(await self._run(self._move, [self._key(consultant), self._offered], arguments))

    async def set_device(self, consultant: str, device: Device) -> bool:
        """Note the state of a telephone; True when it is another than before."""
        return bool(await self._run(self._device, [self._key(consultant)], [device]))

    async def expire(self, consultant: str, *, busy: bool) -> str:
        """End a state whose lease is over; returns that state, or '' when nothing was to do."""
        keys = [self._key(consultant), self._offered]
        return str(await self._run(self._expire, keys, [int(busy)]))

    async def snapshot(self, consultants: Sequence[str]) -> Snapshot:
        """Read the whole board; callers of processes that died are dropped from it."""
        async with self._deadline():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.time()
                pipe.hgetall(self._waiting)
                pipe.hgetall(self._offered)
                for consultant in consultants:
                    pipe.hgetall(self._key(consultant))
                (seconds, micros), waiting, offered, *states = await pipe.execute()
            entries = {call: json.loads(value) for call, value in waiting.items()}
            dead = await self._dead({entry["owner"] for entry in entries.values()})
        owners = {call: str(entry.pop("owner")) for call, entry in entries.items()}
        for call in [call for call, owner in owners.items() if owner in dead]:
            await self.leave(call)
            del owners[call], entries[call]
        return Snapshot(
            float(seconds) + float(micros) / 1e6,
            tuple(WaitingCall(**entry) for entry in entries.values()),
            owners,
            dict(offered),
            {c: _state(c, values) for c, values in zip(consultants, states, strict=True)},
        )

    async def changes(self) -> AsyncIterator[None]:
        """Yield once at the start and whenever any process changes the board."""
        try:
            async with self._listener.pubsub() as pubsub:
                await pubsub.subscribe(self._channel)
                yield
                async for message in pubsub.listen():
                    if message["type"] == "message":
                        yield
        except (RedisError, OSError, TimeoutError) as error:
            raise BoardDownError(str(error)) from error

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        # Not redis-py's own socket_timeout: its sending goes through asyncio.wait_for, which before
        # Python 3.12 can swallow a cancellation, and then who was cancelled goes on for ever.
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except (RedisError, OSError, TimeoutError) as error:
            raise BoardDownError(str(error) or "it does not answer") from error

    async def _dead(self, owners: set[str]) -> set[str]:
        others = sorted(owners - {self.owner})
        if not others:
            return set()
        alive = await self._redis.mget([f"{self._prefix}process:{owner}" for owner in others])
        return {owner for owner, value in zip(others, alive, strict=True) if value is None}

    async def _write(self, fill: Callable[[Pipeline], object]) -> None:
        async with self._deadline(), self._redis.pipeline(transaction=True) as pipe:
            fill(pipe)
            pipe.publish(self._channel, "")
            await pipe.execute()

    async def _run(
        self, script: object, keys: Sequence[str], arguments: Sequence[str | float]
    ) -> object:
        async with self._deadline():
            result = await script(keys=list(keys), args=list(arguments))  # type: ignore[operator]
            if result:
                await self._redis.publish(self._channel, "")
        return result


def _state(consultant: str, values: dict[str, str]) -> ConsultantState:
    lease = values.get("lease")
    return ConsultantState(
        consultant,
        cast(State, values.get("state", "offline")),
        float(values.get("since", 0)),
        cast(Device, values.get("device", "unavailable")),
        values.get("call", ""),
        values.get("reason", ""),
        float(lease) if lease else None,
    )

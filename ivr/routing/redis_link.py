"""Connections to Redis, be it one server, a group watched by Sentinels, or a Cluster.

::

    redis://host:6379/0    rediss://...    unix:///run/redis.sock
    redis+sentinel://host:26379,host:26379/name-of-the-master/0
    redis+cluster://host:7000,host:7001
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

SENTINEL, CLUSTER = "redis+sentinel", "redis+cluster"
PORTS = {SENTINEL: 26379, CLUSTER: 6379}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Several servers that are one Redis."""

    scheme: str
    hosts: tuple[tuple[str, int], ...]
    master: str = ""
    """What the Sentinels call the group."""
    database: int = 0
    username: str | None = None
    password: str | None = None


def parse_address(url: str) -> RedisAddress | None:
    """Read an address of several servers; None for one server, which redis-py reads itself.

    Raises ValueError with a sentence.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in PORTS:
        return None
    credentials, at, rest = rest.rpartition("@")
    where, _, path = rest.partition("/")
    hosts = tuple(_host_port(part, PORTS[scheme]) for part in where.split(","))
    username, _, password = credentials.partition(":") if at else ("", "", "")
    master, _, database = path.partition("/")
    if scheme == SENTINEL and not master:
        raise ValueError(f"the name of the master is missing: {SENTINEL}://host:port,.../name")
    if scheme == CLUSTER and path.strip("/"):
        raise ValueError("a Cluster has no databases: nothing may follow its hosts")
    if database and not database.isdigit():
        raise ValueError(f"the database is no number: {database!r}")
    return RedisAddress(
        scheme, hosts, master, int(database or 0),
        unquote(username) or None, unquote(password) or None,
    )  # fmt: skip


def connect(url: str, timeout_s: float) -> "Redis | RedisCluster":
    """Make a client; nothing is sent before its first command. Raises ValueError for the address.

    There is no deadline for answers here: who asks sets one.
    """
    # One retry: after a restart of Redis each pooled connection finds out for itself that it is
    # dead. A script that ran although its answer was lost says no the second time: harmless.
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": None,
        "socket_connect_timeout": timeout_s,
    }
    address = parse_address(url)
    if address is None:
        client: Redis = Redis.from_url(url, retry=Retry(NoBackoff(), 1), **options)
        return client
    options |= {"username": address.username, "password": address.password}
    if address.scheme == CLUSTER:
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        return RedisCluster(startup_nodes=nodes, **options)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        list(address.hosts),
        sentinel_kwargs={"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s},
    )
    master: Redis = sentinel.master_for(
        address.master, db=address.database, retry=Retry(NoBackoff(), 1), **options
    )
    return master


async def close(client: "Redis | RedisCluster") -> None:
    """Close a client's connections, those to Sentinels too."""
    await client.aclose()
    if isinstance(client, Redis) and isinstance(
        pool := client.connection_pool, SentinelConnectionPool
    ):
        for watcher in pool.sentinel_manager.sentinels:
            await watcher.aclose()


def _host_port(text: str, default: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise ValueError(f"{text!r} is not host:port")
    return host, port or default

"""Two nodes that share one board, behind Kamailio; all of it on loopback."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from ivr.cases.model import Case
from ivr.processes import Server
from ivr.routing.board import Board
from ivr.routing.snapshot import ConsultantState
from ivr.telephone import Telephone
from ivr.telephone_sip import SipMessage, parse_sip
from tests.asterisk.people import ON_TO_ROADS, playing
from tests.asterisk.site import NET, NUMBER, ROOT, SLOT, Site, until

TRUNK = f"{NET}.2"
"""Where callers call from."""
KAMAILIO = f"{NET}.3"
HOTLINE = f"sip:{NUMBER}@{KAMAILIO}:5060"
HOSTS = {"a": f"{NET}.11", "b": f"{NET}.12"}
REDIS = f"{NET}.10"
MORE = """
engine = {pl = "none", uk = "none", en = "none"}
[nodes.peers]
a = "%s:5060"
b = "%s:5060"
"""


class Nodes:
    """Redis, both nodes and Kamailio. Tests may kill them and must start them again."""

    def __init__(self, folder: Path):
        more = MORE % (HOSTS["a"], HOSTS["b"])
        self.sites: dict[str, Site] = {}
        for place, (name, host) in enumerate(HOSTS.items()):
            home = folder / name
            home.mkdir()
            if name != "a":  # consultants have one password, wherever they register
                shutil.copy(folder / "a" / "secrets.json", home)
            self.sites[name] = Site(
                home, node=name, host=host, rtp=(45 + SLOT) * 1000 - 2000 * place,
                redis=REDIS, cases=folder, more=more,
            )  # fmt: skip
        self.a, self.b = self.sites.values()
        self.redis, self.store = self.a.redis, self.a.store
        self.b.store = self.store
        self.kamailio = kamailio(folder / "kamailio", list(HOSTS.values()))

    async def open(self) -> None:
        """Start everything."""
        await self.redis.start()
        await self.start()
        await self.store.open()

    async def start(self) -> None:
        """Start the servers that have been killed, and wait until all are ready."""
        for servers in (
            [site.asterisk for site in self.sites.values()],
            [site.service for site in self.sites.values()] + [self.kamailio],
        ):
            async with asyncio.TaskGroup() as group:
                for server in servers:
                    if not server.running:
                        group.create_task(server.start())
        for site in self.sites.values():
            await ready(site)

    async def stop(self) -> None:
        """Stop what still runs."""
        await self.store.close()
        await self.kamailio.stop()
        for site in self.sites.values():
            await site.service.stop()
            await site.asterisk.stop()
        await self.redis.stop()


async def ready(site: Site) -> None:
    """Wait until a node's service has Asterisk and Redis; these have no recogniser."""

    async def both() -> bool:
        try:
            parts = json.loads((await site.http("/readyz"))[1])["parts"]
        except aiohttp.ClientError:
            return False
        return bool(parts["asterisk"] and parts["redis"])

    await until(both, "the service has Asterisk and Redis", 20)


def kamailio(folder: Path, nodes: list[str]) -> Server:
    """Kamailio in front of Asterisks at these addresses, as its configuration says to run it."""
    folder.mkdir()
    listed = folder / "dispatcher.list"
    lines = [
        *(f"1 sip:{node}:5060 8" for node in nodes),
        *(f"2 sip:{node}:5060 0" for node in nodes),
        f"3 sip:{TRUNK}:5060 0",
    ]
    listed.write_text("\n".join(lines) + "\n")
    program = shutil.which("kamailio") or "/usr/sbin/kamailio"
    command = [
        program, "-f", str(ROOT / "config" / "kamailio" / "kamailio.cfg"), "-DD", "-E", "-m", "64",
        "-w", str(folder), "-Y", str(folder), "-P", str(folder / "kamailio.pid"),
        "-A", f"HOTLINE_LISTEN=udp:{KAMAILIO}:5060", "-A", f'HOTLINE_NODES="{listed}"',
    ]  # fmt: skip

    async def ready() -> bool:
        return (await ask("OPTIONS", within=0.3)) is not None

    return Server("Kamailio", command, log=folder / "log", ready=ready)


class _Answers(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[SipMessage] = asyncio.Queue()

    def datagram_received(self, data: bytes, _: object) -> None:
        self.received.put_nowait(parse_sip(data))


async def ask(
    method: str,
    *,
    source: str = TRUNK,
    within: float = 5,
    headers: str = "",
    to_tag: str = "",
    max_forwards: int = 70,
) -> int | None:
    """Send one request to Kamailio; its final answer's status, or None when there was none."""
    loop = asyncio.get_running_loop()
    transport, answers = await loop.create_datagram_endpoint(_Answers, local_addr=(source, 0))
    host, port = transport.get_extra_info("sockname")
    name = f"{loop.time():.6f}-{port}"
    try:
        transport.sendto(
            f"{method} sip:{NUMBER}@{KAMAILIO} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{name}\r\n"
            f"Max-Forwards: {max_forwards}\r\nFrom: <sip:+48600100200@{host}>;tag=t\r\n"
            f"To: <sip:{NUMBER}@{KAMAILIO}>{to_tag}\r\nCall-ID: {name}\r\nCSeq: 1 {method}\r\n"
            f"Contact: <sip:x@{host}:{port}>\r\n{headers}Content-Length: 0\r\n\r\n".encode(),
            (KAMAILIO, 5060),
        )
        async with asyncio.timeout(within):
            while True:
                status = int((await answers.received.get()).first.split(" ", 2)[1])
                if status >= 200:
                    return status
    except TimeoutError:
        return None
    finally:
        transport.close()


async def greeted(caller: Telephone, to: str = HOTLINE, within: float = 15) -> float:
    """Call, and hear the greeting begin; returns the seconds until the call was answered."""
    began = time.monotonic()
    await caller.dial(to)
    await caller.wait_for("CALL_ESTABLISHED", timeout=within)
    took = time.monotonic() - began
    await caller.hear(0.4, timeout=10)
    return took


async def queued(nodes: Nodes, caller: Telephone, to: str = HOTLINE) -> Case:
    """Call, and choose roads by keys: the caller waits, or is served."""
    await greeted(caller, to)
    await caller.press(ON_TO_ROADS)
    return await nodes.a.step(caller, "queued", within=20)


async def waits(nodes: Nodes, caller: Telephone, to: str = HOTLINE) -> Case:
    """Call, and hear music because nobody is free."""
    case = await queued(nodes, caller, to)

    async def music() -> bool:
        return playing(caller)

    await until(music, "music plays", 10)
    return case


@asynccontextmanager
async def board() -> AsyncIterator[Board]:
    """The board, as a process sees it that belongs to no node."""
    witness = Board(f"redis://{REDIS}:6379/0", "witness", node="witness", timeout_s=2)
    try:
        yield witness
    finally:
        await witness.close()


async def on_board(
    witness: Board, consultant: str, what: Callable[[ConsultantState], bool], within: float
) -> float:
    """Wait until the board says so of a consultant; returns the seconds it took."""
    seen: list[ConsultantState] = []

    async def so() -> bool:
        seen[:] = [(await witness.snapshot([consultant])).consultants[consultant]]
        return what(seen[0])

    try:
        return await until(so, f"{consultant} is so on the board", within)
    except AssertionError as error:
        raise AssertionError(f"{error}; it says {seen}") from None

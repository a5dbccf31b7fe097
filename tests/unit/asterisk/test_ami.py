"""AMI: the wire, one link, and a client that keeps the link alive."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_peers import CUTS, DEADLINE_S, split, unhurried, until

from ivr.asterisk.ami import AmiClient, Backoff
from ivr.asterisk.ami_wire import (
    MAX_ACTION_HEADERS,
    MAX_ACTION_LINE,
    AmiActionError,
    AmiArgumentError,
    AmiAuthError,
    AmiConnectError,
    AmiDisconnectedError,
    AmiMessage,
    AmiParser,
    AmiProtocolError,
    AmiTimeoutError,
    build_action,
)

SECRET = "tajne"
GREETING = b"Asterisk Call Manager/11.0.0\r\n"

keys = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_()-]{0,20}", fullmatch=True)
values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=60)
pairs = st.lists(st.tuples(keys, values), max_size=10)
hostile = st.text(st.sampled_from("\r\n\0: A") | st.characters(), max_size=30)


# The wire


@unhurried
@given(values, pairs, CUTS)
def test_an_action_is_read_as_it_was_meant(
    name: str, headers: list[tuple[str, str]], cuts: list[int]
) -> None:
    data = GREETING + build_action(name, headers) + build_action("Ping")
    parser = AmiParser()
    messages = [message for piece in split(data, cuts) for message in parser.feed(piece)]
    assert [m.headers for m in messages] == [
        (("Action", name), *headers),
        (("Action", "Ping"),),
    ]


@unhurried
@given(hostile, st.lists(st.tuples(hostile, hostile), max_size=4))
def test_no_value_becomes_an_action(name: str, headers: list[tuple[str, str]]) -> None:
    try:
        data = build_action(name, headers)
    except AmiArgumentError:
        return
    assert data.count(b"\r\n\r\n") == 1
    assert data.count(b"\n") == data.count(b"\r") == len(headers) + 2
    assert b"\0" not in data


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Channel", "x\r\n\r\nAction: Command"),
        ("Channel", "x\nCommand: core stop now"),
        ("Channel", "x\0"),
        ("Channel", "\ud800"),
        ("Chan\r\nnel", "x"),
        ("Chan: x", "y"),
        ("", "x"),
        ("Kanał", "x"),
        ("Value", "ł" * (MAX_ACTION_LINE // 2)),
    ],
)
def test_arguments_refused(key: str, value: str) -> None:
    with pytest.raises(AmiArgumentError):
        build_action("Originate", {key: value})


def test_the_limits_of_an_action() -> None:
    longest = "x" * (MAX_ACTION_LINE - len("Value: \r\n"))
    assert build_action("Setvar", {"Value": longest})
    with pytest.raises(AmiArgumentError):
        build_action("Setvar", {"Value": longest + "x"})
    with pytest.raises(AmiArgumentError):
        build_action("Originate", [("Variable", "A=1")] * MAX_ACTION_HEADERS)


def test_repeated_keys_and_case() -> None:
    parser = AmiParser()
    (message,) = parser.feed(
        GREETING
        + b"Response: Success\r\nOutput: a\r\nOutput:  b: c\r\noutput:\r\nUniqueID: 1.2\r\n\r\n"
    )
    assert parser.greeting == "Asterisk Call Manager/11.0.0"
    assert message.getall("OUTPUT") == ["a", " b: c", ""]
    assert message.get("uniqueid") == message["Uniqueid"] == "1.2"
    assert "Nothing" not in message
    assert message.get("Nothing", "-") == "-"
    assert 1 not in message
    assert list(message) == ["Response", "Output", "Output", "output", "UniqueID"]
    with pytest.raises(KeyError):
        message["Nothing"]


def test_a_value_that_spans_lines() -> None:
    (message,) = AmiParser().feed(GREETING + b"Event: UserEvent\r\nText: a\nb\r\n\r\n\r\n")
    assert message["Text"] == "a\nb"


def test_polish_letters_split_between_segments() -> None:
    parser = AmiParser()
    data = GREETING + "Event: X\r\nCallerIDName: Zażółć gęślą\r\n\r\n".encode()
    messages = [m for byte in data for m in parser.feed(bytes([byte]))]
    assert messages[0]["CallerIDName"] == "Zażółć gęślą"
    (latin,) = parser.feed(b"CallerIDName: \xf3\r\n\r\n")
    assert latin["CallerIDName"] == "\N{REPLACEMENT CHARACTER}"


@unhurried
@given(st.binary(max_size=3000) | st.text(st.sampled_from("a:\r\n "), max_size=300), CUTS)
def test_any_bytes_give_messages_or_a_protocol_error(data: bytes | str, cuts: list[int]) -> None:
    raw = GREETING + (data.encode() if isinstance(data, str) else data)
    parser = AmiParser(max_line_bytes=200, max_message_bytes=500, max_headers=20)
    with suppress(AmiProtocolError):
        for piece in split(raw, cuts):
            for message in parser.feed(piece):
                assert 0 < len(message.headers) <= 20


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"\r\n",
        GREETING + b"x" * 1001,
        GREETING + b"A: " + b"x" * 1001 + b"\r\n\r\n",
        GREETING + b"A: 1\r\n" * 11,
        GREETING + (b"A: " + b"x" * 900 + b"\r\n") * 4,
        GREETING + b"A: x\r\n" + (b"x" * 900 + b"\r\n") * 4,
    ],
)
def test_incoming_limits(data: bytes) -> None:
    parser = AmiParser(max_line_bytes=1000, max_message_bytes=3000, max_headers=10)
    with pytest.raises(AmiProtocolError):
        parser.feed(data)


def test_back_off_doubles_to_its_cap() -> None:
    backoff = Backoff(first_s=1, cap_s=8)
    for failures, full in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (10_000, 8)]:
        delays = [backoff.delay(failures) for _ in range(50)]
        assert full / 2 <= min(delays) < max(delays) <= full


# A peer that plays Asterisk


class Manager:
    """Asterisk's side, as far as a test needs it; `answers` says what each action gets."""

    def __init__(self) -> None:
        self.secret = SECRET
        self.answers: dict[str, Callable[[AmiMessage], Awaitable[None]]] = {}
        self.received: list[AmiMessage] = []
        self.links: list[asyncio.StreamWriter] = []
        self.attempts: list[float] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in self.links:
            link.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.links.append(writer)
        self.attempts.append(asyncio.get_running_loop().time())
        writer.write(GREETING)
        parser = AmiParser()
        parser.feed(GREETING)
        with suppress(ConnectionError):
            while data := await reader.read(4096):
                for message in parser.feed(data):
                    self.received.append(message)
                    await self._answer(message)
        writer.close()

    async def _answer(self, message: AmiMessage) -> None:
        name = message["Action"]
        if name in self.answers:
            await self.answers[name](message)
        elif name == "Login" and message["Secret"] != self.secret:
            self.reply(message, "Error", Message="Authentication failed")
            self.links[-1].close()
        else:
            self.reply(message, "Success")

    def reply(self, action: AmiMessage, response: str, **headers: str) -> None:
        self.send(Response=response, ActionID=action.action_id, **headers)

    def send(self, **headers: str) -> None:
        lines = [f"{key}: {value}\r\n" for key, value in headers.items()]
        self.links[-1].write(("".join(lines) + "\r\n").encode())

    def names(self) -> list[str]:
        return [message["Action"] for message in self.received]


async def silence(_: AmiMessage) -> None:
    """Answer nothing."""


@pytest.fixture
async def manager(nothing_left: None) -> AsyncIterator[Manager]:
    manager = Manager()
    await manager.start()
    yield manager
    await manager.stop()


class Owner:
    """The owner of a client: remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[AmiMessage] = []
        self.problems: list[Exception] = []
        self.connections = 0
        self.fault: Exception | None = None

    def on_event(self, message: AmiMessage) -> None:
        self.events.append(message)
        if self.fault is not None:
            raise self.fault

    async def on_connected(self, client: AmiClient) -> None:
        await client.action("ReadState")
        self.connections += 1

    def client(self, manager: Manager, secret: str = SECRET, ping_s: float = 60) -> AmiClient:
        return AmiClient(
            "127.0.0.1",
            manager.port,
            "hotline",
            secret,
            on_event=self.on_event,
            on_connected=self.on_connected,
            on_problem=self.problems.append,
            ping_interval_s=ping_s,
            action_timeout_s=0.5,
            backoff=Backoff(first_s=0.01, cap_s=0.05),
        )


@asynccontextmanager
async def running(client: AmiClient) -> AsyncIterator[None]:
    task = asyncio.ensure_future(client.run())
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not client.connected


@pytest.fixture
async def owner() -> Owner:
    return Owner()


@pytest.fixture
async def client(manager: Manager, owner: Owner) -> AsyncIterator[AmiClient]:
    client = owner.client(manager)
    async with running(client):
        async with asyncio.timeout(DEADLINE_S):
            await client.wait_connected()
        await until(lambda: owner.connections)
        yield client


# Actions and events


async def test_login_actions_and_events(client: AmiClient, manager: Manager, owner: Owner) -> None:
    assert client.connected
    assert manager.received[0].get("Username") == "hotline"
    manager.send(Event="DTMFEnd", Digit="5")
    manager.send(Response="Success", Message="to nobody")
    manager.send(Response="Success", ActionID="stranger-1")
    answer = await client.action("Originate", [("Variable", "A=1"), ("Variable", "B=2")])
    assert answer.response == "Success"
    assert manager.received[-1].getall("Variable") == ["A=1", "B=2"]
    assert [event["Digit"] for event in owner.events] == ["5"]
    assert not owner.problems


async def test_answers_out_of_order(client: AmiClient, manager: Manager) -> None:
    held: list[AmiMessage] = []

    async def hold(message: AmiMessage) -> None:
        held.append(message)

    manager.answers["Slow"] = hold
    slow = asyncio.ensure_future(client.action("Slow"))
    await until(lambda: held)
    assert (await client.action("Quick")).response == "Success"
    manager.send(Event="OriginateResponse", ActionID=held[0].action_id)
    manager.reply(held[0], "Success", Which="slow")
    assert (await slow)["Which"] == "slow"


async def test_an_error_is_an_exception(client: AmiClient, manager: Manager) -> None:
    async def refuse(message: AmiMessage) -> None:
        manager.reply(message, "Error", Message="No such channel")

    manager.answers["Hangup"] = manager.answers["QueueStatus"] = refuse
    with pytest.raises(AmiActionError, match="No such channel") as caught:
        await client.action("Hangup", {"Channel": "none"})
    assert caught.value.response.get("Message") == "No such channel"
    with pytest.raises(AmiActionError):
        await client.list_action("QueueStatus")


async def test_a_list(client: AmiClient, manager: Manager, owner: Owner) -> None:
    async def channels(message: AmiMessage) -> None:
        manager.reply(message, "Success", EventList="start")
        for number in range(3):
            manager.send(Event="CoreShowChannel", ActionID=message.action_id, Number=str(number))
            manager.send(Event="Newchannel", Number="live")
        manager.send(
            Event="CoreShowChannelsComplete", EventList="Complete", ActionID=message.action_id
        )

    async def nothing(message: AmiMessage) -> None:
        manager.reply(message, "Success", EventList="start")
        manager.send(Event="Done", EventList="Complete", ActionID=message.action_id)

    manager.answers.update(CoreShowChannels=channels, DeviceStateList=nothing)
    listed = await client.list_action("CoreShowChannels")
    assert [event["Number"] for event in listed] == ["0", "1", "2"]
    assert [event.event for event in owner.events] == ["Newchannel"] * 3
    assert await client.list_action("DeviceStateList") == []


async def test_no_answer_is_a_timeout_and_a_late_one_harms_nobody(
    client: AmiClient, manager: Manager
) -> None:
    manager.answers["Slow"] = silence
    with pytest.raises(AmiTimeoutError):
        await client.action("Slow", timeout=0.02)
    with pytest.raises(AmiTimeoutError):
        await client.list_action("Slow", timeout=0.02)
    manager.reply(manager.received[-1], "Success", Message="late")
    assert "Message" not in await client.action("Quick")
    assert client.connected


async def test_a_refused_argument_sends_nothing(client: AmiClient, manager: Manager) -> None:
    with pytest.raises(AmiArgumentError):
        await client.action("Hangup", {"Channel": "x\r\n\r\nAction: Logoff"})
    await client.action("Quick")
    assert manager.names() == ["Login", "ReadState", "Quick"]


async def test_a_failing_callback_does_not_drop_the_link(
    client: AmiClient, manager: Manager, owner: Owner
) -> None:
    owner.fault = ValueError("a fault of ours")
    manager.send(Event="Newchannel")
    await client.action("Quick")
    assert [str(problem) for problem in owner.problems] == ["a fault of ours"]
    assert len(manager.links) == 1


# A link that breaks


async def test_after_a_break_the_state_is_read_again(
    client: AmiClient, manager: Manager, owner: Owner
) -> None:
    manager.answers["Slow"] = silence
    outstanding = asyncio.ensure_future(client.action("Slow"))
    await until(lambda: "Slow" in manager.names())
    manager.links[-1].transport.abort()
    with pytest.raises(AmiDisconnectedError):
        await outstanding
    await until(lambda: owner.connections == 2)
    assert client.connected
    assert manager.names() == ["Login", "ReadState", "Slow", "Login", "ReadState"]
    assert isinstance(owner.problems[0], AmiDisconnectedError)


async def test_without_a_link_actions_fail_at_once(
    client: AmiClient, manager: Manager, owner: Owner
) -> None:
    await manager.stop()
    await until(lambda: not client.connected)
    with pytest.raises(AmiDisconnectedError):
        await client.action("Ping")
    await until(lambda: len(owner.problems) >= 4)
    assert all(isinstance(problem, AmiDisconnectedError) for problem in owner.problems)
    assert "manager.conf" in str(owner.problems[-1])
    await manager.start()
    await until(lambda: owner.connections == 2)


async def test_a_ping_without_an_answer_drops_the_link(manager: Manager, owner: Owner) -> None:
    client = owner.client(manager, ping_s=0.01)
    async with running(client):
        await until(lambda: manager.names().count("Ping") >= 2)
        assert not owner.problems
        manager.answers["Ping"] = silence
        await until(lambda: owner.problems)
        del manager.answers["Ping"]
        assert "no longer answers" in str(owner.problems[0])
        await until(lambda: owner.connections == 2)


async def test_a_state_that_cannot_be_read_makes_a_new_link(manager: Manager, owner: Owner) -> None:
    async def refuse(message: AmiMessage) -> None:
        manager.reply(message, "Error", Message="not yet")

    manager.answers["ReadState"] = refuse
    async with running(owner.client(manager)):
        await until(lambda: len(owner.problems) >= 2)
        del manager.answers["ReadState"]
        await until(lambda: owner.connections)
    assert {str(problem) for problem in owner.problems} == {"ReadState: not yet"}


async def test_garbage_drops_the_link(client: AmiClient, manager: Manager, owner: Owner) -> None:
    manager.links[-1].write(b"x" * 100_000)
    await until(lambda: owner.connections == 2)
    assert isinstance(owner.problems[0], AmiDisconnectedError)


async def test_a_wrong_password_is_told_and_does_not_hammer(manager: Manager, owner: Owner) -> None:
    client = owner.client(manager, secret="falsch")
    async with running(client):
        await until(lambda: len(owner.problems) >= 6)
        assert not client.connected
        manager.secret = "falsch"  # the operator mends it
        await until(lambda: owner.connections)
    for problem in owner.problems:
        assert isinstance(problem, AmiAuthError)
        assert "hotline" in str(problem)
        assert "Authentication failed" in str(problem)
        assert "falsch" not in str(problem)
    pauses = [b - a for a, b in pairwise(manager.attempts)]
    assert min(pauses[3:]) >= 0.02  # half of the cap at least


async def test_cancelled_while_connecting_and_while_waiting(owner: Owner, manager: Manager) -> None:
    manager.answers["Login"] = silence
    async with running(owner.client(manager)):
        await until(lambda: manager.received)
    await manager.stop()
    async with running(owner.client(manager)):
        await until(lambda: owner.problems)


async def test_a_failing_problem_callback_stops_nothing(manager: Manager, owner: Owner) -> None:
    def fail(_: Exception) -> None:
        raise ValueError("again")

    client = AmiClient(
        "127.0.0.1",
        manager.port,
        "hotline",
        "tajne",
        on_event=owner.on_event,
        on_connected=owner.on_connected,
        on_problem=fail,
        backoff=Backoff(0.001, 0.002),
    )
    async with running(client):
        await until(lambda: owner.connections == 1)
        manager.links[-1].transport.abort()
        await until(lambda: owner.connections == 2)


# One look, for the operator


async def test_check_login(manager: Manager, owner: Owner) -> None:
    await owner.client(manager).check_login()
    with pytest.raises(AmiAuthError, match=r"manager\.conf"):
        await owner.client(manager, secret="x").check_login()
    manager.answers["Login"] = silence
    with pytest.raises(AmiConnectError, match="does not answer an AMI login"):
        await owner.client(manager).check_login()
    await manager.stop()
    with pytest.raises(AmiConnectError, match=r"manager\.conf"):
        await owner.client(manager).check_login()


async def test_check_login_at_another_service(manager: Manager, owner: Owner) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        writer.close()

    other = await asyncio.start_server(serve, "127.0.0.1", 0)
    manager.port, kept = other.sockets[0].getsockname()[1], manager.port
    with pytest.raises(AmiConnectError, match="220 mail"):
        await owner.client(manager).check_login()
    other.close()
    manager.port = kept

"""FastAGI: the wire, sessions, and a server that survives any peer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_peers import CUTS, DEADLINE_S, Connect, Peer, split, unhurried, until

from ivr.asterisk.agi import AgiServer
from ivr.asterisk.agi_session import AgiSession
from ivr.asterisk.agi_wire import (
    MAX_COMMAND_BYTES,
    AgiArgumentError,
    AgiCommandError,
    AgiDisconnectedError,
    AgiHangupError,
    AgiProtocolError,
    AgiReply,
    AgiTimeoutError,
    Hangup,
    LineSplitter,
    ReplyParser,
    build_command,
)

HEADERS = (
    "agi_network: yes\nagi_network_script: call\nagi_channel: PJSIP/trunk-00000001\n"
    "agi_uniqueid: 1795476489.0\nagi_calleridname: Żółć: Łódź\nagi_accountcode: \n"
    "agi_arg_1: jeden\nagi_arg_2: \n\n"
).encode()

hostile = st.text(st.sampled_from(' "\\\t\r\n\0$(),ł') | st.characters(), max_size=40)


# The wire


def words_as_asterisk_reads_them(line: str) -> list[str]:
    """Split at blanks outside quotes; a backslash keeps the next character as it is."""
    words: list[str] = []
    quoted = inside = False
    characters = iter(line)
    for character in characters:
        if character in " \t" and not quoted:
            inside = False
            continue
        if not inside:
            words.append("")
            inside = True
        if character == '"':
            quoted = not quoted
        elif character == "\\":
            words[-1] += next(characters, "")
        else:
            words[-1] += character
    return words


@unhurried
@given(st.lists(hostile, min_size=1, max_size=6))
def test_words_arrive_as_they_are_or_not_at_all(words: list[str]) -> None:
    try:
        data = build_command(*words)
    except AgiArgumentError:
        return
    assert data.count(b"\n") == 1
    assert data.endswith(b"\n")
    assert not set(b"\r\0") & set(data)
    assert len(data) <= MAX_COMMAND_BYTES
    assert words_as_asterisk_reads_them(data.decode()[:-1]) == words


@pytest.mark.parametrize("bad", ["a\nHANGUP", "a\r", "a\0b", "\ud800", "ł" * 4000, '"' * 4000])
def test_arguments_refused(bad: str) -> None:
    with pytest.raises(AgiArgumentError):
        build_command("SET", "VARIABLE", "X", bad)


def test_the_limits_of_a_command() -> None:
    longest = "x" * (MAX_COMMAND_BYTES - len("NOOP \n"))
    assert len(build_command("NOOP", longest)) == MAX_COMMAND_BYTES
    for words in ([], [""], ["NOOP", longest + "x"], ["NOOP"] * 101):
        with pytest.raises(AgiArgumentError):
            build_command(*words)


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("200 result=0", AgiReply(200, "0", text="result=0")),
        ("200 result=-1", AgiReply(200, "-1", text="result=-1")),
        ("200 result=1 (a (b) c)", AgiReply(200, "1", "a (b) c", text="result=1 (a (b) c)")),
        ("200 result=1 ()", AgiReply(200, "1", "", text="result=1 ()")),
        ("200 result=0 endpos=8000", AgiReply(200, "0", None, 8000, "result=0 endpos=8000")),
        ("200 result= (timeout)", AgiReply(200, "", "timeout", text="result= (timeout)")),
        (
            "200 result=1 (speech) endpos=0 results=2",
            AgiReply(200, "1", "speech", 0, "result=1 (speech) endpos=0 results=2"),
        ),
        ("510 Invalid or unknown command", AgiReply(510, text="Invalid or unknown command")),
        ("511 Command Not Permitted", AgiReply(511, text="Command Not Permitted")),
        ("520 Invalid command syntax.", AgiReply(520, text="Invalid command syntax.")),
    ],
)
def test_replies_of_one_line(line: str, reply: AgiReply) -> None:
    assert ReplyParser().feed(line) == reply


def results(text: str) -> list[AgiReply | Hangup]:
    parser = ReplyParser()
    return [found for line in text.split("\n") if (found := parser.feed(line)) is not None]


USAGE = "520-Invalid command syntax.  Proper usage follows:\nUsage: GET VARIABLE\n\n200 no\n"


def test_replies_of_several_lines() -> None:
    found = results(f"{USAGE}520 End of proper usage.\n200 result=1 (a\n\nb)\n200 result=0")
    assert [type(f) is AgiReply and (f.code, f.data) for f in found] == [
        (520, None),
        (200, "a\n\nb"),
        (200, None),
    ]
    first = found[0]
    assert isinstance(first, AgiReply)
    assert "Usage: GET VARIABLE" in first.text
    assert first.text.endswith("End of proper usage.")


def test_a_hang_up_anywhere() -> None:
    found = results(f"HANGUP\n{USAGE}HANGUP\n520 End.\n200 result=1 (a\nHANGUP\nb)\nHANGUP")
    assert [f.code if isinstance(f, AgiReply) else f for f in found] == [
        *(Hangup(), Hangup(), 520, Hangup(), 200, Hangup())
    ]


def test_lines_of_no_reply_are_counted() -> None:
    parser = ReplyParser()
    assert [parser.feed(line) for line in ("", "hello", "2000 x", "HANGUP ")] == [None] * 4
    assert parser.strange == 4


@unhurried
@given(st.text(st.sampled_from("AŁż )(=\t\r") | st.characters(), max_size=80), CUTS)
def test_any_split_gives_the_same_lines(text: str, cuts: list[int]) -> None:
    data = text.encode(errors="replace") + b"\n"
    splitter = LineSplitter()
    lines = [line for piece in split(data, cuts) for line in splitter.feed(piece)]
    assert lines == [
        line.removesuffix(b"\r").decode() for line in data.removesuffix(b"\n").split(b"\n")
    ]


@unhurried
@given(
    st.lists(st.sampled_from(["200", "520", "HANGUP", "-", " ", "result=", "(", ")", "\n", "1"]))
)
def test_any_text_gives_replies_or_a_protocol_error(parts: list[str]) -> None:
    parser = ReplyParser(max_reply_chars=30)
    with suppress(AgiProtocolError):
        for line in "".join(parts).split("\n"):
            assert isinstance(parser.feed(line), AgiReply | Hangup | None)


@unhurried
@given(st.binary(max_size=500), CUTS)
def test_any_bytes_give_lines_or_a_protocol_error(data: bytes, cuts: list[int]) -> None:
    splitter = LineSplitter(max_line_bytes=50)
    with suppress(AgiProtocolError):
        for piece in split(data, cuts):
            splitter.feed(piece)


def test_limits_of_lines_and_replies() -> None:
    for data in (b"x" * 51, b"x" * 51 + b"\n"):
        with pytest.raises(AgiProtocolError):
            LineSplitter(max_line_bytes=50).feed(data)
    parser = ReplyParser(max_reply_chars=100)
    parser.feed("520-Usage")
    with pytest.raises(AgiProtocolError):
        _ = [parser.feed("for ever") for _ in range(20)]


# Sessions


class Desk:
    """A server whose sessions a test drives: each waits here until its script is done."""

    def __init__(self) -> None:
        self.problems: list[Exception] = []
        self.script: Callable[[AgiSession], Awaitable[None]] | None = None
        self.sessions: list[AgiSession] = []
        self.leave = asyncio.Event()
        self.server = AgiServer(
            self.handle,
            "127.0.0.1",
            0,
            max_sessions=4,
            first_line_timeout_s=0.2,
            header_limit_bytes=10_000,
            command_timeout_s=0.5,
            on_problem=self.problems.append,
        )

    async def handle(self, session: AgiSession) -> None:
        self.sessions.append(session)
        if self.script is not None:
            await self.script(session)
        await self.leave.wait()


@pytest.fixture
async def desk(nothing_left: None) -> AsyncIterator[Desk]:
    desk = Desk()
    await desk.server.start()
    yield desk
    await desk.server.close()


class Call:
    """Both ends of one session."""

    def __init__(self, session: AgiSession, peer: Peer):
        self.session, self.peer = session, peer
        self.played = 0

    async def ask(self, command: Awaitable[object], *exchange: tuple[str, str]) -> object:
        """Run `command`; for each (line expected, answer) play Asterisk."""
        running = asyncio.ensure_future(command)
        for line, answer in exchange:
            assert (await self.peer.line()).decode() == line + "\n"
            await self.peer.send(answer.encode())
            self.played += 1
        async with asyncio.timeout(DEADLINE_S):
            return await running


@pytest.fixture
async def call(desk: Desk, connect: Connect) -> Call:
    peer = await connect(desk.server.port)
    await peer.send(HEADERS)
    await until(lambda: desk.sessions)
    return Call(desk.sessions[0], peer)


async def test_the_request(call: Call) -> None:
    session = call.session
    assert session.env["agi_calleridname"] == "Żółć: Łódź"
    assert session.env["agi_accountcode"] == ""
    assert (session.path, session.uniqueid) == ("call", "1795476489.0")
    assert session.channel == "PJSIP/trunk-00000001"
    assert session.args == ("jeden", "")


async def test_headers_byte_by_byte_and_a_hangup_in_the_last_segment(
    desk: Desk, connect: Connect
) -> None:
    peer = await connect(desk.server.port)
    for byte in HEADERS[:-1]:
        await peer.send(bytes([byte]))
        await asyncio.sleep(0)
    await peer.send(b"\nHANGUP\n")
    await until(lambda: desk.sessions and desk.sessions[0].hungup)
    assert desk.sessions[0].env["agi_calleridname"] == "Żółć: Łódź"


async def test_helpers(call: Call) -> None:
    session, ok = call.session, "200 result=0\n"
    await call.ask(session.answer(), ("ANSWER", ok))
    await call.ask(session.set_variable("X", 'a "b" ł'), (r'SET VARIABLE X "a \"b\" ł"', ok))
    await call.ask(session.set_music(True), ("SET MUSIC ON default", ok))
    await call.ask(session.set_music(False, "wait"), ("SET MUSIC OFF wait", ok))
    await call.ask(
        session.goto("emergency", "s"),
        ("SET CONTEXT emergency", ok),
        ("SET EXTENSION s", ok),
        ("SET PRIORITY 1", ok),
    )
    await call.ask(session.hangup(), ("HANGUP", "200 result=1\n"))
    reply = await call.ask(session.exec("Dial", "PJSIP/101,15,g"), ("EXEC Dial PJSIP/101,15,g", ok))
    assert reply == AgiReply(200, "0", text="result=0")
    assert await call.ask(session.exec("Wait", "1", "2"), ("EXEC Wait 1,2", ok)) == reply


async def test_variables(call: Call) -> None:
    session = call.session
    line = "GET VARIABLE X"
    assert await call.ask(session.get_variable("X"), (line, "200 result=0\n")) is None
    assert await call.ask(session.get_variable("X"), (line, "200 result=1 ()\n")) == ""
    assert await call.ask(session.get_variable("X"), (line, "200 result=1 (a)b)\n")) == "a)b"
    cut, whole = "ł" * 511 + "x", "ł" * 600  # 1023 bytes, where GET VARIABLE ends
    answers = [(line, f"200 result=1 ({cut})\n"), ('GET FULL VARIABLE "${X}"', "200 result=1 (")]
    reading = asyncio.ensure_future(call.ask(session.get_variable("X"), *answers))
    await until(lambda: call.played == 5)
    for byte in f"{whole})\n".encode():  # every letter cut in two
        await call.peer.send(bytes([byte]))
        await asyncio.sleep(0)
    assert await reading == whole


async def test_keys(call: Call) -> None:
    session = call.session
    wait = "WAIT FOR DIGIT 1000"
    assert await call.ask(session.wait_for_digit(1000), (wait, "200 result=35\n")) == "#"
    assert await call.ask(session.wait_for_digit(1000), (wait, "200 result=0\n")) == ""
    assert await call.ask(session.wait_for_digit(-1), ("WAIT FOR DIGIT 0", "200 result=0\n")) == ""
    play = 'STREAM FILE hello ""'
    assert await call.ask(session.stream_file("hello"), (play, "200 result=0 endpos=9\n")) == ""
    play = "STREAM FILE hello 0*"
    found = await call.ask(session.stream_file("hello", "0*"), (play, "200 result=42 endpos=9\n"))
    assert found == "*"


FAILED = ("STREAM FILE none 0", "200 result=-1 endpos=0\n")


async def test_minus_one_is_a_fault_while_the_caller_is_there(call: Call) -> None:
    with pytest.raises(AgiCommandError):
        await call.ask(call.session.stream_file("none", "0"), FAILED, ("NOOP", "200 result=0\n"))
    reply = await call.ask(
        call.session.exec("AudioSocket", "x"),
        ("EXEC AudioSocket x", "200 result=-1\n"),
        ("NOOP", "200 result=0\n"),
    )
    assert isinstance(reply, AgiReply)
    assert (reply.result, call.session.hungup) == ("-1", False)


async def test_minus_one_is_a_hang_up_that_is_told_a_little_later(call: Call) -> None:
    with pytest.raises(AgiHangupError):
        await call.ask(
            call.session.stream_file("none", "0"), FAILED, ("NOOP", "HANGUP\n200 result=0\n")
        )


async def test_exec_tells_of_a_hang_up(call: Call) -> None:
    reply = await call.ask(
        call.session.exec("Dial", "x"),
        ("EXEC Dial x", "200 result=-1\n"),
        ("NOOP", "HANGUP\n200 result=0\n"),
    )
    assert isinstance(reply, AgiReply)
    assert call.session.hungup


async def test_refused_commands(call: Call) -> None:
    session = call.session
    with pytest.raises(AgiCommandError, match="510 Invalid"):
        await call.ask(session.command("BOGUS"), ("BOGUS", "510 Invalid or unknown command\n"))
    with pytest.raises(AgiCommandError) as caught:
        await call.ask(session.command("GET"), ("GET", f"{USAGE}520 End of proper usage.\n"))
    assert "Usage: GET VARIABLE" in caught.value.reply.text
    with pytest.raises(AgiCommandError):
        await call.ask(session.exec("None"), ('EXEC None ""', "200 result=-2\n"))
    with pytest.raises(AgiCommandError):
        await call.ask(session.set_music(True), ("SET MUSIC ON default", "503 what\n"))
    dead = await call.ask(session.command("X"), ("X", "511 Command Not Permitted\n"))
    assert isinstance(dead, AgiReply)
    assert dead.code == 511
    with pytest.raises(AgiHangupError):
        await call.ask(session.answer(), ("ANSWER", "511 Command Not Permitted\n"))
    await call.ask(session.command("NOOP"), ("NOOP", "200 result=0\n"))  # still in step


async def test_a_command_that_is_refused_here_sends_nothing(call: Call) -> None:
    with pytest.raises(AgiArgumentError):
        await call.session.set_variable("X", "a\nHANGUP")
    with pytest.raises(AgiArgumentError):
        await call.session.set_variable("X", "x" * 8000)
    await call.ask(call.session.command("NOOP"), ("NOOP", "200 result=0\n"))


async def test_one_command_at_a_time_each_with_its_answer(call: Call) -> None:
    commands = [
        asyncio.ensure_future(call.session.command("NOOP", str(number))) for number in range(5)
    ]
    for number in range(5):
        assert await call.peer.line() == b"NOOP %d\n" % number
        await call.peer.send(b"200 result=%d\n" % number)
    assert [(await command).result for command in commands] == ["0", "1", "2", "3", "4"]


async def test_a_late_answer_is_not_given_to_the_next_command(call: Call) -> None:
    with pytest.raises(AgiTimeoutError):
        await call.session.command("FIRST", timeout=0.02)
    cancelled = asyncio.ensure_future(call.session.exec("Second"))
    assert await call.peer.line() == b"FIRST\n"
    assert await call.peer.line() == b'EXEC Second ""\n'
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    reply = await call.ask(
        call.session.command("THIRD"), ("THIRD", "200 result=1\n200 result=2\n200 result=3\n")
    )
    assert isinstance(reply, AgiReply)
    assert reply.result == "3"


async def test_every_command_has_a_deadline_but_exec(call: Call) -> None:
    running = asyncio.ensure_future(call.session.exec("Dial", "x"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(running), 0.6)  # longer than the usual deadline
    await call.peer.line()
    await call.peer.send(b"200 result=0\n")
    await running
    with pytest.raises(AgiTimeoutError):
        await call.session.command("NOOP")
    with pytest.raises(AgiTimeoutError):
        await call.session.exec("Dial", "x", timeout=0.01)


# The caller goes away


async def test_a_hang_up_before_the_answer(call: Call) -> None:
    reply = await call.ask(
        call.session.command("EXEC", "Dial"), ("EXEC Dial", "HANGUP\n200 result=-1\n")
    )
    assert isinstance(reply, AgiReply)
    assert reply.result == "-1"
    assert call.session.hungup
    with pytest.raises(AgiHangupError):
        await call.session.command("NOOP")
    await call.session.hangup()  # nothing to do, nothing sent
    await call.ask(
        call.session.set_variable("DONE", "1", force=True),
        ("SET VARIABLE DONE 1", "200 result=1\n"),
    )
    with pytest.raises(AgiHangupError):
        await call.ask(
            call.session.set_variable("X", "1", force=True),
            ("SET VARIABLE X 1", "511 Command Not Permitted on a dead channel\n"),
        )
    assert not call.session.closed


@pytest.mark.parametrize("how", ["hangup", "fin", "rst"])
async def test_an_idle_session_notices(call: Call, how: str) -> None:
    waiting = asyncio.ensure_future(call.session.wait_hangup())
    await asyncio.sleep(0)
    assert not waiting.done()
    if how == "hangup":
        await call.peer.send(b"HANGUP\n")
    else:
        getattr(call.peer, how)()
    async with asyncio.timeout(DEADLINE_S):
        await waiting
    assert call.session.hungup == (how == "hangup")
    assert call.session.closed == (how != "hangup")


async def test_a_closed_socket_ends_the_command_and_the_next(call: Call) -> None:
    running = asyncio.ensure_future(call.session.exec("Dial", "x"))
    await call.peer.line()
    call.peer.fin()
    for command in (running, call.session.command("NOOP", force=True)):
        with pytest.raises(AgiDisconnectedError):
            await command


async def test_garbage_without_end_closes_the_session(call: Call) -> None:
    await call.peer.send(b"unasked\n200 result=7\n")
    await call.peer.send(b"x" * 100_000)
    await call.session.wait_hangup()
    assert call.session.closed


# The server


async def test_a_handler_that_returns_closes_the_socket(desk: Desk, call: Call) -> None:
    desk.leave.set()
    assert await call.peer.closed() == b""
    assert desk.server.counters.sessions == 1
    assert not desk.problems


@pytest.mark.parametrize(("error", "told"), [(ValueError("ours"), 1), (AgiHangupError("gone"), 0)])
async def test_an_exception_of_a_handler(
    desk: Desk, connect: Connect, error: Exception, told: int
) -> None:
    async def fail(_: AgiSession) -> None:
        raise error

    desk.script = fail
    peer = await connect(desk.server.port)
    await peer.send(HEADERS)
    assert await peer.closed() == b""
    await until(lambda: desk.server.open_sessions == 0)
    assert desk.problems == [error] * told
    assert desk.server.counters.failed == told


async def test_connect_and_close(desk: Desk, connect: Connect) -> None:
    for data, end in [(b"", "fin"), (b"", "rst"), (b"agi_netw", "fin"), (HEADERS[:-1], "fin")]:
        peer = await connect(desk.server.port)
        await peer.send(data)
        getattr(peer, end)()
    await until(lambda: desk.server.counters.no_request == 4)
    await until(lambda: desk.server.open_sessions == 0)
    turns = 0
    for _ in range(20):  # a loop that spins would have callbacks ready at every turn
        await asyncio.sleep(0)
        turns += len(asyncio.get_running_loop()._ready)  # type: ignore[attr-defined]
    assert turns == 0
    assert not desk.problems


async def test_half_a_line_and_silence(desk: Desk, connect: Connect) -> None:
    peers = [await connect(desk.server.port) for _ in range(2)]
    await peers[0].send(b"agi_network: y")
    for peer in peers:
        assert await peer.closed() == b""
    assert desk.server.counters.silent == 2


@pytest.mark.parametrize(
    "data",
    [
        b"agi_x: y\n" * 2000,
        b"agi_x: " + b"y" * 70_000,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\n",
        b"\xff\xfe\n\n",
    ],
)
async def test_headers_that_are_none(desk: Desk, connect: Connect, data: bytes) -> None:
    peer = await connect(desk.server.port)
    with suppress(ConnectionError):
        await peer.send(data)
    await peer.closed()
    await until(lambda: desk.server.counters.malformed == 1)
    assert not desk.sessions


async def test_a_value_cannot_overwrite_an_earlier_header(desk: Desk, connect: Connect) -> None:
    peer = await connect(desk.server.port)
    await peer.send(b"agi_network_script: call\nagi_network_script: other\n\n")
    await until(lambda: desk.sessions)
    assert desk.sessions[0].path == "call"


async def test_too_many_sessions(desk: Desk, connect: Connect) -> None:
    for _ in range(4):
        await (await connect(desk.server.port)).send(HEADERS)
    await until(lambda: len(desk.sessions) == 4)
    await (await connect(desk.server.port)).closed()
    assert desk.server.refused == 1
    desk.leave.set()
    await until(lambda: desk.server.open_sessions == 0)
    await (await connect(desk.server.port)).send(HEADERS)
    await until(lambda: len(desk.sessions) == 5)


async def test_stop_accepting_keeps_the_sessions(desk: Desk, call: Call, connect: Connect) -> None:
    desk.server.stop_accepting()
    with pytest.raises(ConnectionRefusedError):
        await connect(desk.server.port)
    await call.ask(call.session.command("NOOP"), ("NOOP", "200 result=0\n"))


async def test_close_cancels_and_awaits_the_sessions(desk: Desk, call: Call) -> None:
    ended = asyncio.Event()

    async def clean_up(_: AgiSession) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    desk.script = clean_up
    await call.peer.send(b"HANGUP\n")
    second = await asyncio.open_connection("127.0.0.1", desk.server.port)
    second[1].write(HEADERS)
    await until(lambda: len(desk.sessions) == 2)
    await desk.server.close()
    assert ended.is_set()
    assert await call.peer.closed() == b""
    second[1].transport.abort()
    assert desk.server.open_sessions == 0

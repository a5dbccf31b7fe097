"""AudioSocket: frames, announced connections, slow and hostile peers."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_peers import CUTS, DEADLINE_S, Connect, Peer, split, unhurried, until

from ivr.asterisk.audiosocket import AudioSocketServer
from ivr.asterisk.audiosocket_connection import (
    MAX_WAITING_KEYS,
    Audio,
    AudioSocketConnection,
    Digit,
    Ended,
)
from ivr.asterisk.audiosocket_wire import (
    AudioSocketArgumentError,
    AudioSocketClosedError,
    AudioSocketStalledError,
    AudioSocketTimeoutError,
    Frame,
    FrameParser,
    Kind,
)

frames = st.lists(st.builds(Frame, st.integers(0, 255), st.binary(max_size=700)), max_size=8)


@unhurried
@given(frames, CUTS)
def test_any_split_gives_the_same_frames(sent: list[Frame], cuts: list[int]) -> None:
    parser = FrameParser()
    data = b"".join(frame.encode() for frame in sent)
    assert [frame for piece in split(data, cuts) for frame in parser.feed(piece)] == sent
    assert not parser.partial


@unhurried
@given(st.binary(max_size=2000), CUTS)
def test_any_bytes_can_be_parsed(data: bytes, cuts: list[int]) -> None:
    parser = FrameParser()
    parsed = [frame for piece in split(data, cuts) for frame in parser.feed(piece)]
    again = b"".join(frame.encode() for frame in parsed)
    assert data.startswith(again)
    assert parser.partial == (len(again) < len(data))


def test_the_bytes_of_a_frame() -> None:
    assert Frame(Kind.AUDIO, b"\1\2").encode() == b"\x10\x00\x02\1\2"
    assert len(Frame(Kind.AUDIO, bytes(65_535)).encode()) == 65_538
    with pytest.raises(AudioSocketArgumentError):
        Frame(Kind.AUDIO, bytes(65_536)).encode()
    with pytest.raises(AudioSocketArgumentError):
        Frame(256).encode()


@pytest.fixture
async def server(nothing_left: None) -> AsyncIterator[AudioSocketServer]:
    server = AudioSocketServer(
        "127.0.0.1", 0, uuid_timeout_s=0.2, max_connections=4, write_timeout_s=0.2
    )
    await server.start()
    yield server
    await server.close()


def uuid_frame(uuid: UUID) -> bytes:
    return Frame(Kind.UUID, uuid.bytes).encode()


async def joined(server: AudioSocketServer, connect: Connect) -> tuple[AudioSocketConnection, Peer]:
    """Return both ends of an announced connection."""
    uuid = uuid4()
    expected = server.announce(uuid)
    peer = await connect(server.port)
    await peer.send(uuid_frame(uuid))
    return await expected.wait(DEADLINE_S), peer


async def everything(connection: AudioSocketConnection) -> list[Audio | Digit | Ended]:
    async with asyncio.timeout(DEADLINE_S):
        return [event async for event in connection.events()]


async def test_frames_of_20_30_and_60_ms_and_keys(
    server: AudioSocketServer, connect: Connect
) -> None:
    connection, peer = await joined(server, connect)
    sizes = [320, 480, 960, 2, 65_534]
    for size in sizes:
        await peer.send(Frame(Kind.AUDIO, bytes(size)).encode())
    await peer.send(Frame(Kind.DTMF, b"#").encode() + Frame(Kind.HANGUP).encode())
    events = await everything(connection)
    assert sum(
        len(e.pcm) for e in events if isinstance(e, Audio)
    ) + connection.dropped_bytes == sum(sizes)
    assert events[-2:] == [Digit("#"), Ended("hangup")]
    assert await connection.receive() == Ended("hangup")


async def test_each_audio_frame_arrives_as_it_was(
    server: AudioSocketServer, connect: Connect
) -> None:
    connection, peer = await joined(server, connect)
    for size in (320, 480, 960):
        await peer.send(Frame(Kind.AUDIO, bytes(size)).encode())
        assert await connection.receive() == Audio(bytes(size))


async def test_uuid_and_audio_in_one_segment(server: AudioSocketServer, connect: Connect) -> None:
    uuid = uuid4()
    async with server.announce(uuid) as expected:
        peer = await connect(server.port)
        await peer.send(uuid_frame(uuid) + Frame(Kind.AUDIO, b"ab").encode() + b"\x10\x00")
        connection = await expected.wait(DEADLINE_S)
        assert connection.uuid == uuid
        assert await connection.receive() == Audio(b"ab")
        await peer.send(b"\x02cd")
        assert await connection.receive() == Audio(b"cd")


async def test_unknown_kinds_are_skipped_and_counted(
    server: AudioSocketServer, connect: Connect
) -> None:
    connection, peer = await joined(server, connect)
    await peer.send(Frame(0x42, b"what").encode() + Frame(0x11, bytes(480)).encode())
    await peer.send(Frame(Kind.DTMF, b"0").encode())
    assert await connection.receive() == Digit("0")
    assert connection.unknown_frames == 2


async def test_odd_and_empty_audio(server: AudioSocketServer, connect: Connect) -> None:
    connection, peer = await joined(server, connect)
    for pcm in (b"", b"x", b"abc", b"de"):
        await peer.send(Frame(Kind.AUDIO, pcm).encode())
    assert await connection.receive() == Audio(b"ab")
    assert await connection.receive() == Audio(b"de")
    assert connection.odd_frames == 2


async def test_no_frames_at_all_is_silence_not_an_end(
    server: AudioSocketServer, connect: Connect
) -> None:
    connection, _peer = await joined(server, connect)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connection.receive()
    assert connection.ended is None
    assert connection.since_received_s >= 0.04
    await connection.send(bytes(320))
    assert connection.since_sent_s < connection.since_received_s


@pytest.mark.parametrize(
    ("last", "way", "reason"),
    [(b"", "fin", "closed"), (b"\x10\x01\x40ab", "fin", "cut"), (b"\x10\x01", "rst", "reset")],
)
async def test_fin_and_rst(
    server: AudioSocketServer, connect: Connect, last: bytes, way: str, reason: str
) -> None:
    connection, peer = await joined(server, connect)
    await peer.send(Frame(Kind.AUDIO, b"ab").encode() + last)
    assert await connection.receive() == Audio(b"ab")
    getattr(peer, way)()
    assert await everything(connection) == [Ended(reason)]
    with pytest.raises(AudioSocketClosedError):
        await connection.send(bytes(320))
    await until(lambda: server.open_connections == 0)


async def test_an_error_frame_ends(server: AudioSocketServer, connect: Connect) -> None:
    connection, peer = await joined(server, connect)
    await peer.send(Frame(Kind.ERROR, b"\x01").encode() + Frame(Kind.AUDIO, b"ab").encode())
    assert await everything(connection) == [Ended("error")]
    assert await peer.closed() == b""


async def test_audio_goes_out_in_frames_of_20_ms(
    server: AudioSocketServer, connect: Connect
) -> None:
    connection, peer = await joined(server, connect)
    await connection.send(bytes(range(250)) * 2 + bytes(200))
    await connection.send(b"")
    parser = FrameParser()
    sent = parser.feed(await peer.exactly(700 + 3 * 3))
    assert [(frame.kind, len(frame.payload)) for frame in sent] == [(16, 320), (16, 320), (16, 60)]
    with pytest.raises(AudioSocketArgumentError):
        await connection.send(b"abc")


async def test_our_hangup_waits_for_the_peer_to_close(
    server: AudioSocketServer, connect: Connect
) -> None:
    connection, peer = await joined(server, connect)
    ending = asyncio.ensure_future(connection.hangup(wait_s=DEADLINE_S))
    assert await peer.exactly(3) == Frame(Kind.HANGUP).encode()
    assert not ending.done()
    peer.fin()
    await ending
    assert connection.ended == Ended("closed")
    await connection.hangup()  # once more does nothing


async def test_our_hangup_does_not_wait_for_ever(
    server: AudioSocketServer, connect: Connect
) -> None:
    connection, peer = await joined(server, connect)
    await connection.hangup(wait_s=0.02)
    assert connection.ended == Ended("ours")
    assert await peer.closed() == Frame(Kind.HANGUP).encode()


async def test_close_ends_the_owner_who_listens(
    server: AudioSocketServer, connect: Connect
) -> None:
    connection, peer = await joined(server, connect)
    listening = asyncio.ensure_future(connection.receive())
    await asyncio.sleep(0)
    connection.close()
    assert await listening == Ended("ours")
    await peer.closed()


async def test_a_peer_that_stops_reading_is_noticed(
    server: AudioSocketServer, connect: Connect
) -> None:
    connection, _peer = await joined(server, connect)
    with pytest.raises(AudioSocketStalledError):  # noqa: PT012 - not the first send, some send
        for _ in range(20_000):  # 640 MB, more than the kernel keeps
            await connection.send(bytes(32_000))
    assert connection.ended == Ended("ours")
    with pytest.raises(AudioSocketClosedError):
        await connection.send(bytes(2))


async def test_a_slow_owner_loses_the_oldest_audio_but_no_key(
    server: AudioSocketServer, connect: Connect
) -> None:
    connection, peer = await joined(server, connect)
    seconds = 5
    for number in range(seconds * 10):
        await peer.send(Frame(Kind.AUDIO, bytes([number, 0]) * 800).encode())
        if number % 10 == 0:
            await peer.send(Frame(Kind.DTMF, b"%d" % (number // 10)).encode())
    await peer.send(Frame(Kind.HANGUP).encode())
    await until(lambda: connection.ended)
    events = await everything(connection)
    assert [e.key for e in events if isinstance(e, Digit)] == ["0", "1", "2", "3", "4"]
    audio = [e.pcm for e in events if isinstance(e, Audio)]
    assert [pcm[0] for pcm in audio] == list(range(30, 50))
    assert connection.dropped_bytes == 3 * 16_000


async def test_keys_without_end_are_no_telephone(
    server: AudioSocketServer, connect: Connect
) -> None:
    connection, peer = await joined(server, connect)
    await peer.send(Frame(Kind.DTMF, b"1").encode() * (MAX_WAITING_KEYS + 10))
    await until(lambda: connection.ended)
    assert connection.ended == Ended("flood")


async def test_connections_nobody_asked_for(server: AudioSocketServer, connect: Connect) -> None:
    used, cancelled = uuid4(), uuid4()
    expected = server.announce(used)
    with pytest.raises(AudioSocketArgumentError):
        server.announce(used)
    server.announce(cancelled).cancel()
    first = await connect(server.port)
    await first.send(uuid_frame(used))
    connection = await expected.wait(DEADLINE_S)
    for uuid in (used, cancelled, uuid4()):
        peer = await connect(server.port)
        await peer.send(uuid_frame(uuid))
        await peer.closed()
    for data in (
        Frame(Kind.AUDIO, bytes(320)).encode(),
        Frame(Kind.UUID, b"short").encode(),
        b"GET / HTTP/1.1\r\n\r\n" + bytes(30_000),
    ):
        peer = await connect(server.port)
        await peer.send(data)
        await peer.closed()
    assert server.counters.unknown_uuid == 3
    assert server.counters.no_uuid == 3
    assert server.counters.connections == 1
    assert connection.ended is None
    expected.cancel()
    assert connection.ended == Ended("ours")
    await first.closed()


async def test_connect_and_close_and_connect_and_silence(
    server: AudioSocketServer, connect: Connect
) -> None:
    for end in ("fin", "rst"):
        peer = await connect(server.port)
        getattr(peer, end)()
    half = await connect(server.port)
    await half.send(b"\x01\x00")
    half.fin()
    await until(lambda: server.counters.ended_early == 3)
    silent, slow = await connect(server.port), await connect(server.port)
    await slow.send(b"\x01\x00\x10half")
    await silent.closed()
    await slow.closed()
    assert server.counters.silent == 2


async def test_too_many_connections(server: AudioSocketServer, connect: Connect) -> None:
    peers = [await connect(server.port) for _ in range(4)]
    await until(lambda: server.open_connections == 4)
    await (await connect(server.port)).closed()
    assert server.refused == 1
    for peer in peers:
        peer.fin()
    await until(lambda: server.open_connections == 0)
    await joined(server, connect)


async def test_nobody_comes(server: AudioSocketServer) -> None:
    async with server.announce(uuid4()) as expected:
        with pytest.raises(AudioSocketTimeoutError):
            await expected.wait(0.01)
        waiting = asyncio.ensure_future(expected.wait(DEADLINE_S))
        await asyncio.sleep(0)
        expected.cancel()
        with pytest.raises(AudioSocketClosedError):
            await waiting


async def test_closing_the_server_ends_everything(
    server: AudioSocketServer, connect: Connect
) -> None:
    connection, peer = await joined(server, connect)
    expected = server.announce(uuid4())
    waiting = asyncio.ensure_future(expected.wait(DEADLINE_S))
    await asyncio.sleep(0)
    await server.close()
    assert await everything(connection) == [Ended("ours")]
    with pytest.raises(AudioSocketClosedError):
        await waiting
    await peer.closed()

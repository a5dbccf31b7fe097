"""AMI on the wire: actions to bytes, bytes to messages. No I/O.

A message is lines of `Key: Value` up to an empty line. A line without a colon carries on the value
above it (Asterisk writes some values that contain a line break as they are).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ivr.errors import HotlineError

GREETING = "Asterisk Call Manager"
"""How the first line of every AMI connection begins."""

MAX_ACTION_LINE = 1000
"""Bytes of one line we send. Asterisk throws away the line, and so the action, from 1024 on."""
MAX_ACTION_HEADERS = 120
"""Headers of one action we send. Asterisk keeps the first 128 and forgets the others."""

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_()-]*")
_FORBIDDEN = re.compile(r"[\r\n\0]")

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
"""Headers of an action; pairs when a key (`Variable`) comes more than once."""


class AmiError(Exception):
    """Anything that can go wrong with the Asterisk Manager Interface."""


class AmiArgumentError(AmiError, ValueError):
    """An action that must not be sent: it would be cut, or run as another action."""


class AmiProtocolError(AmiError):
    """The peer sent what no Asterisk sends, or more than the limits allow."""


class AmiDisconnectedError(AmiError):
    """There is no link to Asterisk now; the action may or may not have been carried out."""


class AmiTimeoutError(AmiError, TimeoutError):
    """Asterisk did not answer in time; the action may or may not have been carried out."""


class AmiConnectError(AmiDisconnectedError, HotlineError):
    """No connection to the AMI port, or no AMI behind it; the message says what to look at."""


class AmiAuthError(AmiError, HotlineError):
    """Asterisk refused the login; the message says what to look at."""


@dataclass(frozen=True, slots=True)
class AmiMessage:
    """A response or an event: its headers in the order of arrival, repeated keys kept.

    Keys are looked up without regard to case (Asterisk writes both `Uniqueid` and `UniqueID`).
    """

    headers: tuple[tuple[str, str], ...]
    _first: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        first: dict[str, str] = {}
        for key, value in self.headers:
            first.setdefault(key.lower(), value)
        object.__setattr__(self, "_first", first)

    def get(self, key: str, default: str = "") -> str:
        """Return the first value of `key`, or `default`."""
        return self._first.get(key.lower(), default)

    def getall(self, key: str) -> list[str]:
        """Return every value of `key`, in order (`Output`, `Variable`)."""
        wanted = key.lower()
        return [value for name, value in self.headers if name.lower() == wanted]

    def __getitem__(self, key: str) -> str:
        return self._first[key.lower()]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._first

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self.headers)

    @property
    def event(self) -> str:
        """Name of the event; empty for a response."""
        return self.get("Event")

    @property
    def response(self) -> str:
        """`Success`, `Error`, `Goodbye`, ...; empty for an event."""
        return self.get("Response")

    @property
    def action_id(self) -> str:
        """The action this belongs to, as its sender named it; empty when to none."""
        return self.get("ActionID")


class AmiActionError(AmiError):
    """Asterisk answered an action with an error; `response` is the whole answer."""

    def __init__(self, action: str, response: AmiMessage):
        super().__init__(f"{action}: {response.get('Message', 'refused without a reason')}")
        self.action, self.response = action, response


def build_action(name: str, headers: Headers = ()) -> bytes:
    """Return the bytes of an action; raises AmiArgumentError for what would not arrive whole."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lines = [_line(key, value) for key, value in (("Action", name), *pairs)]
    if len(lines) > MAX_ACTION_HEADERS:
        raise AmiArgumentError(
            f"{name}: {len(lines)} headers, Asterisk takes {MAX_ACTION_HEADERS}; send several"
        )
    return b"".join(lines) + b"\r\n"


def _line(key: str, value: str) -> bytes:
    if not _KEY.fullmatch(key):
        raise AmiArgumentError(f"{key!r} cannot be the name of an AMI header")
    if _FORBIDDEN.search(value):
        raise AmiArgumentError(f"the value of {key} contains a line break or NUL: {value!r}")
    try:
        line = f"{key}: {value}\r\n".encode()
    except UnicodeEncodeError as error:
        raise AmiArgumentError(f"the value of {key} is not text: {value!r}") from error
    if len(line) > MAX_ACTION_LINE:
        raise AmiArgumentError(
            f"{key} is {len(line)} bytes long, Asterisk takes {MAX_ACTION_LINE} in one line"
        )
    return line


class AmiParser:
    """Bytes in as they arrive, whole messages out; only whole lines are decoded.

    Raises AmiProtocolError, after which the parser must not be used any more: when the first line
    is not Asterisk's greeting, or beyond the limits (bytes of a line and of a message, headers of
    a message).
    """

    def __init__(
        self,
        *,
        max_line_bytes: int = 65_536,
        max_message_bytes: int = 1_048_576,
        max_headers: int = 20_000,
    ):
        self._max_line_bytes = max_line_bytes
        self._max_message_bytes = max_message_bytes
        self._max_headers = max_headers
        self._rest = b""
        self._headers: list[tuple[str, str]] = []
        self._message_bytes = 0
        self.greeting: str | None = None

    def feed(self, data: bytes) -> list[AmiMessage]:
        """Return the messages that `data` completes."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        messages = [message for line in lines if (message := self._take(line)) is not None]
        if len(self._rest) > self._max_line_bytes:
            raise AmiProtocolError(f"a line of more than {self._max_line_bytes} bytes")
        return messages

    def _take(self, raw: bytes) -> AmiMessage | None:
        if len(raw) > self._max_line_bytes:
            raise AmiProtocolError(f"a line of {len(raw)} bytes")
        line = raw.removesuffix(b"\r").decode(errors="replace")
        if self.greeting is None:
            if not line.startswith(GREETING):
                raise AmiProtocolError(f"the peer is not Asterisk's AMI: it says {line[:80]!r}")
            self.greeting = line
            return None
        if not line:
            return self._finish()
        self._message_bytes += len(raw)
        if self._message_bytes > self._max_message_bytes:
            raise AmiProtocolError(f"a message of more than {self._max_message_bytes} bytes")
        self._add(line)
        return None

    def _add(self, line: str) -> None:
        key, colon, value = line.partition(":")
        if colon:
            self._headers.append((key, value.removeprefix(" ")))
        elif self._headers:
            key, value = self._headers.pop()
            self._headers.append((key, f"{value}\n{line}"))
        if len(self._headers) > self._max_headers:
            raise AmiProtocolError(f"a message of more than {self._max_headers} headers")

    def _finish(self) -> AmiMessage | None:
        headers, self._headers, self._message_bytes = tuple(self._headers), [], 0
        return AmiMessage(headers) if headers else None

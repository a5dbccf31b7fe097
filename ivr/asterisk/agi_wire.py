"""AGI on the wire: commands to bytes, lines to replies and hang-ups. No I/O."""

import re
from dataclasses import dataclass

MAX_COMMAND_BYTES = 8000
"""Bytes of one command with its line end. Asterisk cuts at 8 KiB and runs the tail as a command."""
MAX_WORDS = 100
"""Words of one command. Asterisk takes 127 and drops the others."""

_PLAIN = re.compile(r"[A-Za-z0-9_./:@=+*#&|,-]+", re.ASCII)
_FORBIDDEN = re.compile(r"[\r\n\0]")
_STATUS = re.compile(r"(?P<code>[1-5][0-9]{2})(?P<more>[ -])(?P<text>.*)", re.DOTALL)
_RESULT = re.compile(
    r"result=(?P<result>\S*)"
    r"(?: \((?P<data>.*)\))?"
    r"(?: endpos=(?P<endpos>[0-9]+)(?P<rest> .*)?)?",
    re.DOTALL,
)


class AgiError(Exception):
    """Anything that can go wrong in an AGI session."""


class AgiArgumentError(AgiError, ValueError):
    """A command that must not be sent: it would be cut, or its tail run as another command."""


class AgiProtocolError(AgiError):
    """The peer sent what no Asterisk sends, or more than the limits allow."""


class AgiTimeoutError(AgiError, TimeoutError):
    """Asterisk did not answer in time; the command may still be running."""


class AgiGoneError(AgiError):
    """The call can no longer be acted upon: one of the two below."""


class AgiHangupError(AgiGoneError):
    """The caller has hung up; the session is open for what may be done with a dead channel."""


class AgiDisconnectedError(AgiGoneError):
    """The socket is closed; whether the caller is still there is not known."""


@dataclass(frozen=True, slots=True)
class AgiReply:
    """The answer to one command.

    `code` is 200 (done), 510 (unknown command), 511 (not on a dead channel) or 520 (wrong usage).
    `result` is what follows `result=`, empty when there is none. `data` is the text in
    parentheses, `endpos` the sample at which playing ended, `text` all of the reply after the
    code, with the usage lines of a 520.
    """

    code: int
    result: str = ""
    data: str | None = None
    endpos: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Hangup:
    """The line `HANGUP`: the caller is gone."""


class AgiCommandError(AgiError):
    """Asterisk refused a command (510, 520) or could not do it; `reply` is the whole answer."""

    def __init__(self, command: str, reply: AgiReply):
        super().__init__(f"{command}: {reply.code} {reply.text.partition(chr(10))[0]}")
        self.command, self.reply = command, reply


def build_command(*words: str) -> bytes:
    """Return the bytes of a command, each word quoted so that it arrives as exactly that word.

    Raises AgiArgumentError for a word with CR, LF or NUL, for too many words and bytes.
    """
    if not words or not words[0]:
        raise AgiArgumentError("a command has at least one word")
    if len(words) > MAX_WORDS:
        raise AgiArgumentError(f"{words[0]}: {len(words)} words, at most {MAX_WORDS} arrive")
    for word in words:
        if _FORBIDDEN.search(word):
            raise AgiArgumentError(f"{words[0]}: a line break or NUL in {word[:80]!r}")
    try:
        line = (" ".join(_quoted(word) for word in words) + "\n").encode()
    except UnicodeEncodeError as error:
        raise AgiArgumentError(f"{words[0]}: an argument is not text") from error
    if len(line) > MAX_COMMAND_BYTES:
        raise AgiArgumentError(
            f"{words[0]}: {len(line)} bytes, Asterisk takes {MAX_COMMAND_BYTES} in one command"
        )
    return line


def _quoted(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


class LineSplitter:
    """Bytes in as they arrive, whole lines of text out; only whole lines are decoded.

    Raises AgiProtocolError for a line, ended or not, of more than `max_line_bytes`.
    """

    def __init__(self, *, max_line_bytes: int = 65_536):
        self._max_line_bytes = max_line_bytes
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that `data` completes, without their line ends."""
        lines = (self._rest + data).split(b"\n")
        if max(map(len, lines)) > self._max_line_bytes:
            raise AgiProtocolError(f"a line of more than {self._max_line_bytes} bytes")
        self._rest = lines.pop()
        return [line.removesuffix(b"\r").decode(errors="replace") for line in lines]


class ReplyParser:
    """Lines in, replies and hang-ups out; puts together what spans several lines.

    Those are a 520 with its usage, and a variable whose value contains line breaks. `HANGUP` is
    understood wherever it comes. Lines that are no part of a reply are counted in `strange`.
    """

    def __init__(self, *, max_reply_chars: int = 262_144) -> None:
        self._max_reply_chars = max_reply_chars
        self._code = 0
        self._lines: list[str] = []
        self._usage = False
        self._chars = 0
        self.strange = 0

    def feed(self, line: str) -> AgiReply | Hangup | None:
        """Return what `line` completes, if anything; AgiProtocolError beyond `max_reply_chars`."""
        if line == "HANGUP":
            return Hangup()
        if not self._lines:
            return self._begin(line)
        self._chars += len(line)
        if self._chars > self._max_reply_chars:
            raise AgiProtocolError(f"a reply of more than {self._max_reply_chars} characters")
        if self._usage:
            last = line.startswith(f"{self._code} ")
            self._lines.append(line[4:] if last else line)
        else:
            self._lines.append(line)
            last = line.endswith(")")
        return self._finish() if last else None

    def _begin(self, line: str) -> AgiReply | None:
        status = _STATUS.fullmatch(line)
        if status is None:
            self.strange += 1
            return None
        self._code, self._chars = int(status["code"]), len(line)
        self._lines = [status["text"]]
        self._usage = status["more"] == "-"
        return None if self._usage or _is_open(status["text"]) else self._finish()

    def _finish(self) -> AgiReply:
        text, self._lines = "\n".join(self._lines), []
        found = None if self._usage else _RESULT.match(text)
        if found is None:
            return AgiReply(self._code, text=text)
        endpos = found["endpos"]
        return AgiReply(
            self._code, found["result"], found["data"], int(endpos) if endpos else None, text
        )


def _is_open(text: str) -> bool:
    """Whether a parenthesis after the result waits for its end in a later line."""
    found = re.match(r"result=\S* \(", text)
    return found is not None and not text.endswith(")") and ") endpos=" not in text

"""Typed arguments for dialplan applications, which nobody can break out of.

Asterisk gives an application one string, in which commas, quotes, parentheses and `${...}` have a
meaning. So whatever comes from a configuration file, a database or a caller passes through here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

_NAME = re.compile(r"[A-Za-z0-9_.@:/+-]+")
_VARIABLE = re.compile(r"_{0,2}[A-Za-z][A-Za-z0-9_]{0,78}")
_FUNCTION = re.compile(r"(?P<name>[A-Z_]+)\((?P<args>[^()]*)\)")
_OPTIONS = re.compile(r"(?:[A-Za-z](?:\([A-Za-z0-9_.@:/+^-]*\))?)*")
_ENDPOINT = re.compile(r"[A-Za-z][A-Za-z0-9]*/[A-Za-z0-9_.@:/+-]+")
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f]")

FUNCTIONS = frozenset(
    {"CALLERID", "CDR", "CHANNEL", "CONNECTEDLINE", "HANGUPCAUSE", "JITTERBUFFER", "PJSIP_HEADER"}
)
"""Dialplan functions that may stand where a variable does; none of them runs or reads a file."""


class DialplanArgumentError(ValueError):
    """A value that could mean something else to Asterisk than to us."""


def name(value: str) -> str:
    """Return `value` when it is one name: letters, digits and `_ . @ : / + -`; else raise."""
    if not _NAME.fullmatch(value):
        raise DialplanArgumentError(
            f"{value!r} cannot stand in a dialplan argument: letters, digits and _.@:/+- only"
        )
    return value


def number(value: int) -> str:
    """Return a whole number >= 0 as an argument."""
    if value < 0:
        raise DialplanArgumentError(f"{value} is negative")
    return str(value)


def _check_text(text: str) -> None:
    if _NOT_TEXT.search(text):
        raise DialplanArgumentError(f"control characters in {text!r}")
    if "${" in text or "$[" in text:
        raise DialplanArgumentError(f"{text!r} contains a dialplan expression")


def literal(text: str) -> str:
    r"""Return free text as one argument that is read as it stands: `, " \ ( )` escaped.

    Raises DialplanArgumentError for `${`, `$[` and control characters, which no escape makes safe
    where Asterisk evaluates arguments twice.
    """
    _check_text(text)
    return re.sub(r'([\\,"()])', r"\\\1", text)


def app_arguments(*values: str | int | UUID) -> str:
    """Join names, numbers and UUIDs with commas; an empty string leaves its place empty."""
    parts = []
    for value in values:
        if isinstance(value, int):
            parts.append(number(value))
        else:
            parts.append(name(str(value)) if value != "" else "")
    return ",".join(parts)


def dial_argument(endpoint: str, timeout_s: int, options: str = "") -> str:
    """Return the argument of Dial: one endpoint (`PJSIP/101`), seconds >= 1 to ring, options.

    Several endpoints at once (`&`) are refused. Options are letters, each with an argument of
    names and `^` in parentheses when it takes one: `gU(survey^1)`.
    """
    if not _ENDPOINT.fullmatch(endpoint):
        raise DialplanArgumentError(f"{endpoint!r} is not one endpoint, as PJSIP/101 is")
    if timeout_s < 1:
        raise DialplanArgumentError(f"a phone rings at least one second, not {timeout_s}")
    if not _OPTIONS.fullmatch(options):
        raise DialplanArgumentError(f"{options!r} are no options of Dial")
    return f"{endpoint},{timeout_s},{options}"


def audiosocket_argument(uuid: UUID, host: str, port: int) -> str:
    """Return the argument of AudioSocket."""
    if not 1 <= port <= 65_535:
        raise DialplanArgumentError(f"{port} is not a TCP port")
    return f"{uuid},{f'[{name(host)}]' if ':' in host else name(host)}:{port}"


@dataclass(frozen=True, slots=True)
class ChannelVariable:
    """Name of a channel variable, or of one of `FUNCTIONS` with its arguments.

    `_NAME` goes to channels that this one makes, `__NAME` to theirs too.
    """

    name: str

    def __post_init__(self) -> None:
        if _VARIABLE.fullmatch(self.name):
            return
        function = _FUNCTION.fullmatch(self.name)
        if (
            function is None
            or function["name"] not in FUNCTIONS
            or not all(map(_NAME.fullmatch, function["args"].split(",")))
        ):
            raise DialplanArgumentError(f"{self.name!r} is not the name of a channel variable")

    def __str__(self) -> str:
        return self.name

    @property
    def reference(self) -> str:
        """The expression that Asterisk replaces with the value."""
        return f"${{{self.name.lstrip('_')}}}"


def assignments(variables: Iterable[tuple[ChannelVariable, str]]) -> list[tuple[str, str]]:
    """Return AMI `Variable` headers for Originate; raises for a value with a comma or the like.

    Asterisk splits that header at commas, so a comma in a value would begin another variable.
    """
    pairs = []
    for variable, value in variables:
        _check_text(value)
        if re.search(r'[,"\\]', value):
            raise DialplanArgumentError(f"{variable}: {value!r} would not arrive as one value")
        pairs.append(("Variable", f"{variable}={value}"))
    return pairs

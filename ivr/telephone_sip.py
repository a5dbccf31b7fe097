"""SIP messages of the trunk peer: read one, answer one (RFC 3261)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SipMessage:
    """A request or response: first line, headers in order (names in small letters), body."""

    first: str
    headers: tuple[tuple[str, str], ...]
    body: str

    def get(self, name: str) -> str:
        """Give the first header of this name (small letters, long form), "" if there is none."""
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        """Give all headers of this name."""
        return [value for key, value in self.headers if key == name]

    @property
    def method(self) -> str:
        """The method of a request."""
        return self.first.split(" ", 1)[0]


_SHORT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
          "c": "content-type"}  # fmt: skip


def parse_sip(data: bytes) -> SipMessage:
    """Read one datagram. Raises ValueError for what is no SIP."""
    head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    if "SIP/2.0" not in first:
        raise ValueError(f"no SIP: {first[:60]!r}")
    headers: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and headers:
            headers[-1] = (headers[-1][0], f"{headers[-1][1]} {line.strip()}")
            continue
        name, _, value = line.partition(":")
        key = name.strip().lower()
        headers.append((_SHORT.get(key, key), value.strip()))
    return SipMessage(first, tuple(headers), body)


def media_target(sdp: str) -> tuple[str, int] | None:
    """Read from the offer where the caller wants to hear."""
    lines = sdp.splitlines()
    host = next((line.split()[-1] for line in lines if line.startswith("c=IN IP4 ")), "")
    port = next((line.split()[1] for line in lines if line.startswith("m=audio ")), "")
    return (host, int(port)) if host and port.isdigit() else None


def response(
    request: SipMessage, status: str, *, tag: str = "", extra: tuple[str, ...] = (), body: str = ""
) -> bytes:
    """Write the response to a request; `tag` is put to the To header where it has none."""
    to = request.get("to")
    if tag and ";tag=" not in to:
        to += f";tag={tag}"
    lines = [
        f"SIP/2.0 {status}",
        *(f"Via: {via}" for via in request.all("via")),
        *(f"Record-Route: {route}" for route in request.all("record-route")),
        f"From: {request.get('from')}",
        f"To: {to}",
        f"Call-ID: {request.get('call-id')}",
        f"CSeq: {request.get('cseq')}",
        *extra,
        f"Content-Length: {len(body.encode())}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

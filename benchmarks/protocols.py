"""Events parsed a second: our AMI parser beside panoramisk's, on the same bytes, in one run.

    .venv/bin/pip install --target /tmp/rivals panoramisk   # once; not a dependency
    .venv/bin/python benchmarks/protocols.py /tmp/rivals

The rival's parser is fed by its own protocol class, ours by AmiParser, in segments of 1,460 bytes,
turn by turn; the best of five rounds of each counts. `whole` counts the events whose Polish
name arrived unharmed. Prints one JSON object.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ivr.asterisk.ami_wire import AmiParser

NAME = "Żaneta Ćwikła"
EVENT = (
    "Event: DialEnd\r\nPrivilege: call,all\r\nSequence: 4711\r\n"
    "Channel: PJSIP/incoming-0000002a\r\n"
    "ChannelState: 6\r\nChannelStateDesc: Up\r\nCallerIDNum: +48600000001\r\n"
    f"CallerIDName: {NAME}\r\nLanguage: pl\r\nContext: hotline\r\nExten: call\r\n"
    "Priority: 3\r\nUniqueid: a-1795477956.0\r\nLinkedid: a-1795477956.0\r\n"
    "DestChannel: PJSIP/102-0000002b\r\nDestUniqueid: a-1795477956.1\r\nDialStatus: ANSWER\r\n\r\n"
).encode()
EVENTS, SEGMENT, ROUNDS = 20_000, 1460, 5


def ours(segments: list[bytes]) -> int:
    parser = AmiParser()
    return sum(
        message.get("CallerIDName") == NAME
        for segment in segments
        for message in parser.feed(segment)
    )


def panoramisk_of(folder: Path) -> Callable[[list[bytes]], int]:
    sys.path.append(str(folder))
    from panoramisk.ami_protocol import AMIProtocol  # noqa: PLC0415 - optional

    class Factory:
        whole = 0

        def dispatch(self, message: dict[str, str]) -> None:
            self.whole += message["CallerIDName"] == NAME

    def run(segments: list[bytes]) -> int:
        protocol = AMIProtocol()
        protocol.connection_made(None)
        protocol.factory, protocol.encoding = Factory(), "utf8"
        for segment in segments:
            protocol.data_received(segment)
        return protocol.factory.whole

    return run


def main() -> None:
    logging.disable()
    stream = b"Asterisk Call Manager/11.0.0\r\n" + EVENT * EVENTS
    segments = [stream[at : at + SEGMENT] for at in range(0, len(stream), SEGMENT)]
    rivals: dict[str, Callable[[list[bytes]], int]] = {"ours": ours}
    if len(sys.argv) > 1:
        rivals["panoramisk"] = panoramisk_of(Path(sys.argv[1]))
    best = dict.fromkeys(rivals, 0.0)
    whole = dict.fromkeys(rivals, 0)
    for _ in range(ROUNDS):
        for name, run in rivals.items():
            began = time.perf_counter()
            whole[name] = run(segments)
            best[name] = max(best[name], EVENTS / (time.perf_counter() - began))
    rates = {name: round(rate) for name, rate in best.items()}
    print(json.dumps({"sent": EVENTS, "whole": whole, "events_per_s": rates}))


if __name__ == "__main__":
    main()

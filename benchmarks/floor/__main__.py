"""Forty consultants at registered telephones, 300 callers in five minutes, on a real site.

    .venv/bin/python -m benchmarks.floor [--callers 300] [--minutes 5] [--consultants 40]
    .venv/bin/python -m benchmarks.floor --latency 100

SIPp calls, baresip answers; some callers give up, order a callback or press 0, some consultants do
not answer, pause or lose the line. What must hold is checked from the cases' events and by a
witness of its own at Asterisk's manager. `--latency`: from a consultant who becomes available to
the ringing telephone, while callers wait, at 20 calls a minute. All on loopback; ends by itself.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from random import Random
from typing import Any

os.environ.setdefault("HOTLINE_TEST_SLOT", "9")
SLOT = os.environ["HOTLINE_TEST_SLOT"]
os.environ |= {
    "HOTLINE_TRUNKS__OUTGOING": f"127.0.{SLOT}.3:5060",
    "HOTLINE_ROUTING__WRAP_UP_S": "2",
    "HOTLINE_ROUTING__LEASE_S": "9",
    "HOTLINE_ROUTING__ANNOUNCE_S": "15",
    "HOTLINE_SERVICE__MAX_CALLS": "200",
}
sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.calls import at_quantile, lag
from benchmarks.floor import checks
from benchmarks.floor.callers import Crowd
from benchmarks.floor.consultants import Floor
from benchmarks.floor.witness import Witness, watching
from ivr.cases.event import CaseEvent
from ivr.routing.board import Board
from ivr.telephone import Telephone
from ivr.telephone_trunk import Trunk
from tests.asterisk.site import HOST, NET, SIP, Site, until

SEED = 19115
TALK_S = 25.0
CHOICE = (("[field1]", 350), ("[field2]", 200))


def crowds(callers: int) -> list[Crowd]:
    """Who calls: most are patient."""
    some = max(1, callers // 20)
    return [
        Crowd("patient", callers - 4 * some, CHOICE, 200),
        Crowd("impatient", 2 * some, CHOICE, 5),
        Crowd("callback", some, (*CHOICE, ("[field1]", 6000), ("1", 100)), 200),
        Crowd("emergency", some, (("0", 100),), 6),
    ]


async def telephones(site: Site, stack: AsyncExitStack, how_many: int) -> list[Telephone]:
    """Registered telephones of the first consultants."""
    found: list[Telephone] = []
    names = [c.id for c in site.plan.consultants][:how_many]
    for begin in range(0, how_many, 8):
        found += await asyncio.gather(
            *(
                stack.enter_async_context(site.consultant(name, answer="manual"))
                for name in names[begin : begin + 8]
            )
        )
    return found


async def quiet(site: Site, board: Board, people: list[str]) -> dict[str, Any]:
    """Wait until nobody is in a call, then tell what the board still holds."""
    await until(lambda: _no_channels(site), "no channel is left", 240, every=1)
    await asyncio.sleep(float(os.environ["HOTLINE_ROUTING__LEASE_S"]) + 6)
    snapshot = await board.snapshot(people)
    stuck = {
        name: state.state
        for name, state in snapshot.consultants.items()
        if state.state not in ("available", "paused", "offline") or state.call
    }
    return {
        "stuck": stuck, "waiting": len(snapshot.waiting), "offered": len(snapshot.offered),
        "callbacks": len(snapshot.callbacks),
    }  # fmt: skip


async def _no_channels(site: Site) -> bool:
    return await site.channels() == 0


async def day(callers: int, minutes: float, consultants: int) -> dict[str, Any]:
    """Run it all; returns the figures."""
    folder = Path(tempfile.mkdtemp(prefix="hotline-floor-"))
    random = Random(SEED)
    site = Site(folder)
    witness = Witness()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(site.stop)
        await site.start()
        board = Board(f"redis://{HOST}:6379/0", "floor", timeout_s=5)
        stack.push_async_callback(board.close)
        task = await watching(
            witness, HOST, site.settings.asterisk.ami_port, site.supervisor.secrets["ami"]
        )
        stack.callback(task.cancel)
        for name, place in (("a", 5), ("b", 6), ("network", 3)):
            await stack.enter_async_context(Trunk(name, f"{NET}.{place}"))
        phones = await telephones(site, stack, consultants)
        floor = Floor(SIP, random, TALK_S)
        work = [asyncio.create_task(floor.work(phone)) for phone in phones]
        before, cpu, began = (
            await lag(site),
            await site.metric("process_cpu_seconds_total"),
            time.monotonic(),
        )
        losing = asyncio.create_task(_lose(floor, phones[:3], minutes))
        await asyncio.gather(
            *(
                crowd.call(SIP, f"{NET}.2", 5070 + 10 * place, minutes * 60, folder, random)
                for place, crowd in enumerate(crowds(callers))
            )
        )
        await losing
        took = time.monotonic() - began
        left = await quiet(site, board, [phone.user for phone in phones])
        after = await lag(site)
        used = await site.metric("process_cpu_seconds_total") - cpu
        for one in work:
            one.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        cases = await site.store.list(limit=callers + 100)
        events = {str(case.uuid): list(await site.store.events(case.uuid)) for case in cases}
        figures = summary(cases, events) | {
            "consultants": dict(sorted(floor.done.items())), "left": left,
            "loop_lag_p99": at_quantile(before, after, 0.99),
            "service_cores": round(used / took, 3), "seconds": round(took),
        }  # fmt: skip
        return figures | {"violations": violations(site, cases, events, witness, callers)}


async def _lose(floor: Floor, phones: list[Telephone], minutes: float) -> None:
    for phone in phones:
        await asyncio.sleep(minutes * 60 / 5)
        with suppress(Exception):
            await floor.lose_the_line(phone, 8)


def summary(cases: Any, events: dict[str, list[CaseEvent]]) -> dict[str, Any]:
    """Counts and waits."""
    waits = sorted(c.wait_s for c in cases if c.outcome == "answered" and c.wait_s is not None)
    kinds = Counter(event.kind for one in events.values() for event in one)
    return {
        "cases": len(cases),
        "outcomes": dict(Counter(case.outcome for case in cases)),
        "answered_within_20_s": round(sum(w <= 20 for w in waits) / max(1, len(waits)), 3),
        "wait_p50_s": round(waits[len(waits) // 2], 1) if waits else None,
        "wait_p95_s": round(waits[int(len(waits) * 0.95)], 1) if waits else None,
        **{kind: kinds[kind] for kind in ("offered", "no_answer", "talking", "callback_dialled")},
    }


def violations(
    site: Site, cases: Any, events: dict[str, list[CaseEvent]], witness: Witness, callers: int
) -> dict[str, list[str]]:
    """What did not hold, by what should have."""
    people = {c.id: c for c in site.plan.consultants}
    channels = {}
    for case in cases:
        answers = [e for e in events[str(case.uuid)] if e.kind == "callback_answered"]
        channels[str(case.uuid)] = (
            f"callback-{case.uuid.hex}-{answers[-1].data['attempt']}" if answers
            else str(case.asterisk_id)
        )  # fmt: skip
    queued_emergencies = [
        call for call, one in events.items()
        if {"emergency", "queued"} <= {event.kind for event in one}
    ]  # fmt: skip
    return {
        "every caller has one case": [] if len(cases) == callers else [f"{len(cases)} cases"],
        "every case ends once": checks.finals(events),
        "no consultant has two calls": checks.overlaps(checks.offers(events), "has two calls"),
        "no telephone rings twice": checks.overlaps(witness.rings, "rings for two"),
        "nobody is passed over": checks.passed_over(events, people, site.plan.routing),
        "the witness agrees": checks.disagreements(checks.talks(events, channels), witness.talks),
        "no emergency is queued": queued_emergencies,
    }


async def latency(samples: int) -> dict[str, Any]:
    """Time a consultant's becoming available to the ringing of the telephone."""
    folder = Path(tempfile.mkdtemp(prefix="hotline-floor-"))
    site = Site(folder)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(site.stop)
        await site.start()
        board = Board(f"redis://{HOST}:6379/0", "floor", timeout_s=5)
        stack.push_async_callback(board.close)
        phone = await stack.enter_async_context(site.consultant("101", answer="manual"))
        await board.move("101", "paused")
        crowd = Crowd("patient", samples + 5, (("1", 350), ("2", 200)), 300)
        calling = asyncio.create_task(
            crowd.call(SIP, f"{NET}.2", 5070, 3 * (samples + 5), folder, Random(SEED))
        )
        took: list[float] = []
        await asyncio.sleep(15)  # so that some always wait
        while len(took) < samples and not calling.done():
            began = time.monotonic()
            await board.move("101", "available", expected=("paused",))
            await phone.wait_for("CALL_INCOMING", timeout=30)
            took.append(time.monotonic() - began)
            await phone.answer()
            await phone.wait_for("CALL_ESTABLISHED", timeout=10)
            await phone.hangup()
            await phone.wait_for("CALL_CLOSED", timeout=10)
            while not await board.move("101", "paused", expected=("wrap_up", "available")):
                await asyncio.sleep(0.05)
            await asyncio.sleep(max(0.0, began + 3 - time.monotonic()))  # 20 a minute
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
    took.sort()
    at = {
        f"p{q}": round(took[min(len(took) - 1, len(took) * q // 100)] * 1000, 1)
        for q in (50, 95, 99)
    }
    return {"samples": len(took), "available_to_ringing_ms": at}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--callers", type=int, default=300, choices=range(20, 601), metavar="N")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--consultants", type=int, default=40, choices=range(4, 41), metavar="N")
    parser.add_argument("--latency", type=int, default=0, metavar="SAMPLES")
    given = parser.parse_args()
    if given.latency:
        result = asyncio.run(latency(min(given.latency, 300)))
    else:
        result = asyncio.run(day(given.callers, min(given.minutes, 15), given.consultants))
    print(json.dumps(result, indent=1))

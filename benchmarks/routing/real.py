"""The model of app_queue against the real one: the same calls through both, waits compared.

    .venv/bin/python -m benchmarks.routing.real [--seconds 240] [--host 127.0.7.1]

Starts the Asterisk of the project with a configuration of its own in a temporary folder. Callers
and members are Local channels: a member's telephone rings `--ring` seconds, talks as long as the
call's handling time, and hangs up; a custom device state tells when it is in use. Nothing plays,
nobody gives up. Handling times are short (mean `--handling` seconds), so that minutes hold hundreds
of calls; Asterisk's whole seconds, its look once a second and `retry` stay as they are, and the
model gets the same short times. As whoever looks first has the member, a moment's difference gives
other pairs: the model runs `--runs` times with arrivals moved by up to 50 ms, and the real figure
should lie among its runs.
"""

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.routing.app_queue import ANY, AppQueue, by_city_queue, by_penalty
from ivr.asterisk.ami import AmiClient
from ivr.asterisk.ami_wire import AmiMessage
from ivr.asterisk.install import AsteriskInstall, find_asterisk
from ivr.asterisk.runtime import daemon_command, fully_booted
from ivr.errors import HotlineError
from ivr.loading import load_staff
from ivr.processes import Server
from ivr.routing.simulate import simulate
from ivr.routing.skills import Routing, Step
from ivr.routing.staff import Staff
from ivr.routing.trace import HOURS, Trace, load_profile, make_trace

ROOT = Path(__file__).resolve().parents[2]
PORT, USER, SECRET = 5038, "benchmark", "loopback-only"
ANSWER_S = 0.5
"""How long Asterisk's Answer() waits for sound, of which there is none here."""
ALIKE_S = 0.25
LOAD = 0.85
"""Share of the members' time that calls take."""
STEPS = (
    Step(for_s=3, level=4, language_level=2),
    Step(for_s=3, level=2, language_level=2),
    Step(level=0),
)
"""As in routing.yaml, but shorter, as the calls are."""
MODULES = (
    "res_timing_timerfd", "bridge_simple", "bridge_holding", "pbx_config", "func_devstate",
    "app_queue",
)  # fmt: skip

ASTERISK = """\
[directories]
astetcdir => {etc}
astmoddir => {modules}
astvarlibdir => {etc}/lib
astdbdir => {etc}/lib
astkeydir => {etc}/lib
astdatadir => {etc}/data
astspooldir => {etc}/spool
astrundir => {etc}
astlogdir => {etc}/log
astsbindir => {etc}
[options]
documentation_language = en_US
"""
MANAGER = f"""\
[general]
enabled = yes
bindaddr = {{host}}
port = {PORT}
timestampevents = yes
[{USER}]
secret = {SECRET}
read = agent
write = originate,system
"""
EXTENSIONS = """\
[person]
exten => s,1,Answer()
 same => n,Wait(100000)
[enter]
exten => _X!,1,NoOp()
exten => _[a-z]!,1,Queue(${EXTEN},r)
 same => n,Hangup()
[members]
exten => _X!,1,Set(MEMBER=${EXTEN})
 same => n,Set(DEVICE_STATE(Custom:m${MEMBER})=INUSE)
 same => n,Wait(${RING_S})
 same => n,Answer()
 same => n,Wait(${TALK_S})
 same => n,Hangup()
exten => h,1,Set(DEVICE_STATE(Custom:m${MEMBER})=NOT_INUSE)
"""


@dataclass
class Heard:
    """What Asterisk told of each call, by its number in the trace; times in its own seconds."""

    joined: dict[int, float] = field(default_factory=dict)
    connected: dict[int, float] = field(default_factory=dict)
    member: dict[int, int] = field(default_factory=dict)

    def event(self, message: AmiMessage) -> None:
        """Take an event in."""
        name, call = message.get("Event"), message.get("Uniqueid")
        if not call.startswith("call-"):
            return
        number, at = int(call.removeprefix("call-")), float(message.get("Timestamp", "0"))
        if name == "QueueCallerJoin":
            self.joined[number] = at
        elif name == "AgentConnect":
            self.connected[number] = at
            self.member[number] = int(message.get("MemberName").removeprefix("m"))


def write_configuration(
    folder: Path, install: AsteriskInstall, host: str, app: AppQueue
) -> Mapping[str, str]:
    """Write everything Asterisk reads; return the rule's name of each queue."""
    for name in ("lib", "spool", "log", "data"):
        (folder / name).mkdir()
    (folder / "data" / "documentation").symlink_to(install.data_dir / "documentation")
    rules = {queue.rules: f"rule{i}" for i, queue in enumerate(app.queues.values())}
    names = {name: rules[queue.rules] for name, queue in app.queues.items()}
    longest = "yes" if app.force_longest else "no"
    queues = [f"[general]\nautofill = yes\nforce_longest_waiting_caller = {longest}\n"]
    for name, queue in app.queues.items():
        queues.append(
            f"[{name}]\nstrategy = rrmemory\ntimeout = 60\nretry = {app.retry_s:.0f}\n"
            f"ringinuse = no\njoinempty = yes\ndefaultrule = {names[name]}\n"
        )
        queues += [
            f"member => Local/{m.column}@members/n,{m.penalty},m{m.column},Custom:m{m.column}\n"
            for m in queue.members
        ]
    rule_lines = [
        f"[{name}]\n" + "".join(f"penaltychange => {at:.0f},{limit}\n" for at, limit in rule[1:])
        for rule, name in rules.items()
    ]
    for name, text in (
        ("asterisk", ASTERISK.format(etc=folder, modules=install.modules_dir)),
        ("manager", MANAGER.format(host=host)),
        ("modules", "[modules]\nautoload = no\n" + "".join(f"load = {m}.so\n" for m in MODULES)),
        ("extensions", EXTENSIONS),
        ("queues", "".join(queues)),
        ("queuerules", "[general]\n" + "".join(rule_lines)),
        ("logger", "[logfiles]\nmessages.log => notice,warning,error\n"),
    ):
        (folder / f"{name}.conf").write_text(text)
    return names


async def through_asterisk(
    install: AsteriskInstall, host: str, app: AppQueue, trace: Trace, ring_s: float
) -> Heard:
    """Send the calls of the trace through a real app_queue at their times."""
    heard = Heard()
    with tempfile.TemporaryDirectory(prefix="app-queue-") as name:
        folder = Path(name)
        write_configuration(folder, install, host, app)

        async def ready() -> bool:
            return await fully_booted(install.command, folder)

        server = Server(
            "Asterisk", daemon_command(install.command, folder), log=folder / "out", ready=ready
        )
        await server.start()
        try:
            async with _connected(host, heard) as client:
                await _send(client, app, trace, ring_s)
                await _all_connected(heard, len(trace))
        finally:
            await server.stop()
    return heard


@contextlib.asynccontextmanager
async def _connected(host: str, heard: Heard):  # type: ignore[no-untyped-def]
    async def nothing(client: AmiClient) -> None:
        return None

    client = AmiClient(host, PORT, USER, SECRET, on_event=heard.event, on_connected=nothing)
    running = asyncio.create_task(client.run())
    try:
        async with asyncio.timeout(20):
            await client.wait_connected()
        yield client
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _send(client: AmiClient, app: AppQueue, trace: Trace, ring_s: float) -> None:
    begins = float(int(time.time()) + 2)  # the model's seconds begin with a whole one, too
    async with asyncio.TaskGroup() as group:
        for number, at in enumerate(trace.arrives.tolist()):
            await asyncio.sleep(max(0.0, begins + at - time.time()))
            key = (trace.topics[trace.topic[number]], trace.languages[trace.language[number]])
            queue = app.queue_of[key]
            limit = app.queues[queue].rules[0][1]
            talk_s = max(0.0, trace.handling[number] - ANSWER_S)
            variables = [f"__TALK_S={talk_s:.3f}", f"__RING_S={ring_s}"]
            variables += [] if limit == ANY else [f"QUEUE_MAX_PENALTY={limit}"]
            headers = [
                ("Channel", "Local/s@person/n"), ("ChannelId", f"call-{number}"),
                ("Context", "enter"), ("Exten", queue), ("Priority", "1"), ("Async", "true"),
                *(("Variable", variable) for variable in variables),
            ]  # fmt: skip
            group.create_task(_originate(client, headers))


async def _originate(client: AmiClient, headers: Sequence[tuple[str, str]]) -> None:
    await client.action("Originate", headers, timeout=20)


async def _all_connected(heard: Heard, calls: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(120):
            while len(heard.connected) < calls:
                await asyncio.sleep(0.5)


def figures(waits: np.ndarray, levels: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Mean, median, 90th and 95th percentile (s), share within 3 s, mean level, busiest member."""
    share = np.bincount(members).max() / len(members)
    p50, p90, p95 = np.quantile(waits, [0.5, 0.9, 0.95])
    return np.array([waits.mean(), p50, p90, p95, (waits <= 3).mean(), levels.mean(), share])


NAMES = ("mean s", "p50 s", "p90 s", "p95 s", "in 3 s", "level", "busiest")


def modelled(
    make: Callable[[], AppQueue], staff: Staff, trace: Trace, ring_s: float, runs: int
) -> tuple[np.ndarray, np.ndarray]:
    """The model's figures and the waits, a row a run; arrivals move by up to 50 ms."""
    random = np.random.default_rng(1)
    found, waits = [], []
    for _ in range(runs):
        moved = np.sort(trace.arrives + random.uniform(0, 0.05, len(trace)))
        outcome = simulate(replace(trace, arrives=moved), staff, policy=make(), ring_s=ring_s)
        found.append(figures(outcome.wait_s, outcome.level, outcome.consultant))
        waits.append(outcome.wait_s)
    return np.array(found), np.array(waits)


async def compare(args: argparse.Namespace) -> None:
    """Print a table for each way of setting app_queue up."""
    install = find_asterisk(ROOT / ".hotline")
    if install is None:
        raise HotlineError("there is no Asterisk: make setup")
    real_staff, queue_of = load_staff(ROOT / "queues")
    staff = Staff(real_staff.consultants, Routing(real_staff.routing.priorities, STEPS))
    profile = load_profile(ROOT / "queues" / "profile.yaml", frozenset(queue_of))
    profile = profile.model_copy(
        update={"calls_by_hour": (1.0,) * HOURS, "handling_s": args.handling,
                "handling_by_topic_s": {}, "patience_s": 1e9}
    )  # fmt: skip
    rate = LOAD * len(staff.ids) / (args.handling + args.ring)
    trace = make_trace(profile, 1, rate * 86_400, seed=args.seed)
    calls = int(np.searchsorted(trace.arrives, args.seconds))
    trace = Trace(
        trace.topics, trace.languages, trace.arrives[:calls], trace.topic[:calls],
        trace.language[:calls], trace.priorities, trace.priority[:calls],
        trace.handling[:calls], trace.patience[:calls],
    )  # fmt: skip
    print(
        f"Asterisk {install.version}, {calls} calls in {args.seconds} s, {len(staff.ids)} members"
    )
    for name, make in (
        ("rrmemory, a queue per city queue", lambda: by_city_queue(staff, queue_of, args.retry)),
        ("penalties", lambda: by_penalty(staff, queue_of, args.retry, least_level=1)),
        ("penalties, all are members",
         lambda: by_penalty(staff, queue_of, args.retry, least_level=0)),
    ):  # fmt: skip
        runs, model_waits = modelled(make, staff, trace, args.ring, args.runs)
        heard = await through_asterisk(install, args.host, make(), trace, args.ring)
        done = sorted(heard.connected)
        waits = np.array([heard.connected[call] - heard.joined[call] for call in done])
        members = np.array([heard.member[call] for call in done])
        levels = np.array([
            staff.consultants[member].level(trace.topics[trace.topic[call]])
            for call, member in zip(done, members, strict=True)
        ])  # fmt: skip
        real = figures(waits, levels, members)
        alike = (np.abs(model_waits[:, done] - waits) < ALIKE_S).mean()
        print(f"\n{name}: {len(done)} of {calls} connected; waits alike: {alike:.0%} of the calls")
        print("            " + "".join(f"{title:>9}" for title in NAMES))
        for title, row in (
            ("real", real), ("model", runs.mean(0)),
            ("from", runs.min(0)), ("to", runs.max(0)),
        ):  # fmt: skip
            print(f"{title:<12}" + "".join(f"{value:9.3f}" for value in row), flush=True)


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=240)
    parser.add_argument("--handling", type=float, default=12.0)
    parser.add_argument("--ring", type=float, default=0.5)
    parser.add_argument("--retry", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--host", default="127.0.7.1")
    asyncio.run(compare(parser.parse_args()))


if __name__ == "__main__":
    main()

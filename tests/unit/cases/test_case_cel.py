import contextlib
import csv
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.cases.cel import CUSTOM_CONF, CelEvent, CelFollower, split_records
from ivr.cases.event import CaseEvent
from ivr.cases.projection import fold
from ivr.cases.reconcile import CelWindow, reconcile
from ivr.cases.store import CaseStore

RECORD = Path(__file__).with_name("hotline.csv")
"""Written by Asterisk 22.10.1 through `CUSTOM_CONF`, with SIPp as caller, consultant and 112."""

ECHO, TALK, TRUNK_B, NO_112, DEGRADED, USER_EVENT, REFUSED, GAVE_UP = (
    "node1-1795476449.0",
    "node1-1795476450.1",
    "node1-1795476453.3",
    "node1-1795476458.6",
    "node1-1795476462.8",
    "node1-1795476466.10",
    "node1-1795476469.12",
    "node1-1795476688.13",
)


def record() -> list[CelEvent]:
    with CelFollower(RECORD) as follower:
        return follower.read()


def of(uniqueid: str) -> list[CelEvent]:
    return [event for event in record() if event.linkedid == uniqueid]


def summary(events: list[CaseEvent]) -> list[tuple[str, dict[str, object]]]:
    hidden = {"source", "caller_number", "caller_name", "why", "asterisk_id", "channel"}
    return [(e.kind, {k: v for k, v in e.data.items() if k not in hidden}) for e in events]


def test_the_mapping_quotes_every_column() -> None:
    line = CUSTOM_CONF.splitlines()[1]
    assert line.startswith("hotline.csv => ${CSV_QUOTE(${eventtype})},${CSV_QUOTE(${eventtime})},")
    assert line.count("${CSV_QUOTE(") == 13


def test_what_asterisk_wrote_is_read() -> None:
    with CelFollower(RECORD) as follower:
        events = follower.read()
        assert len(events) == RECORD.read_bytes().count(b"\n")
        assert follower.damaged == 0
        assert follower.read() == []
    first = events[0]
    assert first.kind == "CHAN_START"
    assert first.at == datetime.fromtimestamp(1795476449, UTC).replace(microsecond=326532)
    assert first.uniqueid == first.linkedid == ECHO
    assert (first.channel, first.context) == ("PJSIP/trunk-00000000", "from-trunk")
    assert first.number == "+48601234567"
    assert first.name == r"Jan \"Kowal\", Świątek 🔥 ${SHELL(id)}"
    (marked,) = [event for event in events if event.kind == "marked"]
    assert marked.app_data == 'marked,a "quoted", value'


@pytest.mark.parametrize(
    ("call", "story"),
    [
        (
            ECHO,
            [("closed", {"outcome": "abandoned", "wait_s": 0.508361, "talk_s": 0.0})],
        ),
        (
            TALK,
            [
                ("talking", {"consultant": "c1"}),
                (
                    "closed",
                    {
                        "outcome": "answered",
                        "wait_s": 0.503757,
                        "talk_s": 2.004442,
                        "consultant": "c1",
                    },
                ),
            ],
        ),
        (
            TRUNK_B,
            [
                ("emergency", {}),
                ("emergency_trunk", {"trunk": "112b"}),
                ("emergency_trunk", {"trunk": "112a"}),
                ("emergency_answered", {"trunk": "112a"}),
                ("closed", {"outcome": "emergency", "wait_s": 2.507244, "talk_s": 0.0}),
            ],
        ),
        (
            NO_112,
            [
                ("emergency", {}),
                ("emergency_trunk", {"trunk": "112b"}),
                ("emergency_failed", {}),
                ("closed", {"outcome": "emergency", "wait_s": 2.50368, "talk_s": 0.0}),
            ],
        ),
        (
            DEGRADED,
            [
                ("degraded", {}),
                ("talking", {"consultant": "c1"}),
                (
                    "closed",
                    {
                        "outcome": "degraded",
                        "wait_s": 0.505576,
                        "talk_s": 3.502667,
                        "consultant": "c1",
                    },
                ),
            ],
        ),
        (
            GAVE_UP,
            [
                ("degraded", {}),
                ("closed", {"outcome": "degraded", "wait_s": 2.507195, "talk_s": 0.0}),
            ],
        ),
    ],
    ids=["echo", "talk", "trunk-b", "no-112", "degraded", "gave-up"],
)
def test_an_answered_call_without_a_case_gets_one(
    call: str, story: list[tuple[str, dict[str, object]]]
) -> None:
    made = reconcile(of(call), set())
    assert summary(made) == [("opened", {}), ("answered", {}), *story]
    assert made[0].data["asterisk_id"] == call
    assert {event.call for event in made} == {made[0].call}
    assert len({event.id for event in made}) == len(made)


def test_112_answers_in_a_subroutine_of_the_emergency_dialplan() -> None:
    events = [
        replace(event, context="emergency-trunk") if event.kind.startswith("BRIDGE") else event
        for event in of(TRUNK_B)
    ]
    kinds = [event.kind for event in reconcile(events, set())]
    assert "emergency_answered" in kinds
    assert "talking" not in kinds


def test_the_goodbye_of_the_degraded_dialplan_does_not_make_a_talk_degraded() -> None:
    *talk, end = of(TALK)
    goodbye = replace(
        end, kind="APP_START", context="degraded", app="Playback", uniqueid=end.linkedid,
        at=next(e.at for e in reversed(talk) if e.kind == "BRIDGE_EXIT"),
    )  # fmt: skip
    place = max(i for i, e in enumerate(talk) if e.kind == "BRIDGE_EXIT") + 1
    made = reconcile([*talk[:place], goodbye, *talk[place:], end], set())
    assert "degraded" not in [event.kind for event in made]
    assert made[-1].data["outcome"] == "answered"


def test_what_has_a_case_was_not_answered_or_came_from_elsewhere_gets_none() -> None:
    assert reconcile(of(TALK), {TALK}) == []
    assert reconcile(of(REFUSED), set()) == []
    assert reconcile(of(TALK), set(), incoming={"consultants"}) == []


def test_the_consultant_of_another_node_is_known_by_the_number() -> None:
    other = next(e.uniqueid for e in of(TALK) if e.uniqueid != TALK)
    events = [
        replace(e, channel="PJSIP/node-b-00000007", number="101") if e.uniqueid == other else e
        for e in of(TALK)
    ]
    made = reconcile(events, set())
    assert [e.data["consultant"] for e in made if e.kind in ("talking", "closed")] == ["101"] * 2


def test_a_call_that_another_node_has_sent_is_no_case_of_this_one() -> None:
    sent = [replace(e, context="from-nodes" if e.uniqueid == TALK else e.context) for e in of(TALK)]
    assert reconcile(sent, set()) == []


def test_an_orphaned_case_is_closed_when_its_channel_has_ended() -> None:
    call = uuid4()
    happened = of(DEGRADED)
    assert reconcile(happened[:-7], {DEGRADED}, orphans={DEGRADED: call}) == []
    made = reconcile(happened, {DEGRADED}, orphans={DEGRADED: call})
    kinds = [event.kind for event in made]
    assert kinds == ["degraded", "talking", "orphaned", "closed"]
    opened = CaseEvent(uuid4(), call, happened[0].at, "opened", {"asterisk_id": DEGRADED})
    case = fold(call, [opened, *made])
    assert (case.outcome, case.consultant, case.talk_s) == ("degraded", "c1", 3.502667)
    assert case.ended_at == happened[-5].at


def test_it_gives_the_same_whoever_looks_and_however_far_the_call_is() -> None:
    whole = {event.id: event for event in reconcile(record(), set())}
    happened = record()
    for end in range(len(happened)):
        for event in reconcile(happened[:end], set()):
            assert whole[event.id].kind == event.kind
            assert whole[event.id].call == event.call


async def test_reconciling_again_and_again_leaves_one_case_a_call(store: CaseStore) -> None:
    window, follower = CelWindow(), CelFollower(RECORD)
    service = uuid4()
    late = CaseEvent(uuid4(), service, record()[0].at, "opened", {"asterisk_id": TALK, "node": "n"})
    for _ in range(200):
        window.add(follower.read(at_most=700))
        ids = {event.uniqueid for event in window.events()}
        known = await store.known_asterisk_ids(ids)
        orphans = await store.unfinished(datetime.now(UTC) + timedelta(days=9_999))
        await store.apply(reconcile(window.events(), known, orphans=orphans))
    follower.close()
    await store.apply([late])
    cases = {case.asterisk_id: case for case in await store.list()}
    assert set(cases) == {ECHO, TALK, TRUNK_B, NO_112, DEGRADED, USER_EVENT, GAVE_UP}
    assert all(case.ended_at for case in cases.values())
    assert (cases[TALK].node, cases[TALK].talk_s) == ("n", 2.004442)
    assert (cases[TRUNK_B].emergency_outcome, cases[TRUNK_B].emergency_trunk) == (
        "answered",
        "112a",
    )
    assert cases[NO_112].emergency_outcome == "failed"


def test_the_window_lets_old_calls_go() -> None:
    window = CelWindow(keep_s=60)
    window.add(record())
    assert {event.linkedid for event in window.events()} == {GAVE_UP}


def test_a_file_that_grows_byte_by_byte(tmp_path: Path) -> None:
    data, path = RECORD.read_bytes()[:3_000], tmp_path / "hotline.csv"
    follower = CelFollower(path)
    assert follower.read() == []
    found: list[CelEvent] = []
    for byte in data:
        with path.open("ab") as file:
            file.write(bytes([byte]))
        found += follower.read()
    assert found == record()[: data.count(b"\n")]
    assert follower.damaged == 0
    follower.close()


def test_rotation_loses_nothing(tmp_path: Path) -> None:
    lines = RECORD.read_bytes().splitlines(keepends=True)
    path = tmp_path / "hotline.csv"
    path.write_bytes(b"".join(lines[:10]))
    follower = CelFollower(path)
    found = follower.read()
    with path.open("ab") as file:
        file.write(b"".join(lines[10:20]))
    path.rename(tmp_path / "hotline.csv.1")
    found += follower.read()
    path.write_bytes(b"".join(lines[20:30]))
    found += follower.read()
    assert found == record()[:30]
    follower.close()


def test_a_new_process_reads_on_even_in_a_rotated_file(tmp_path: Path) -> None:
    lines = RECORD.read_bytes().splitlines(keepends=True)
    path = tmp_path / "hotline.csv"
    path.write_bytes(b"".join(lines[:20]))
    first = CelFollower(path)
    found = first.read(at_most=2_000)
    position = first.position
    first.close()
    path.rename(tmp_path / "hotline.csv.1")
    path.write_bytes(b"".join(lines[20:30]))
    second = CelFollower(path, position)
    found += second.read() + second.read() + second.read()
    assert found == record()[:30]
    second.close()
    (tmp_path / "hotline.csv.1").unlink()
    third = CelFollower(path, position)
    assert third.read() == record()[20:30]
    third.close()


def test_a_truncated_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    lines = RECORD.read_bytes().splitlines(keepends=True)
    path = tmp_path / "hotline.csv"
    path.write_bytes(b"".join(lines[:10]))
    follower = CelFollower(path)
    follower.read()
    os.truncate(path, 0)
    with path.open("ab") as file:
        file.write(lines[10])
    assert follower.read() == record()[10:11]
    follower.close()


@given(st.integers(1, 150), st.booleans())
def test_a_torn_line_costs_only_itself(cut: int, newline: bool) -> None:
    lines = RECORD.read_bytes().splitlines(keepends=True)
    torn = lines[1][:cut] + (b"\n" if newline else b"")
    records, used = split_records(lines[0] + torn + lines[2] + lines[3])
    assert used == len(lines[0] + torn + lines[2] + lines[3])
    assert (records[0], records[-1]) == (lines[0], lines[3])
    assert len(records) in {3, 4}


@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_what_follows_a_torn_line_is_read(tmp_path: Path, newline: bytes) -> None:
    lines = RECORD.read_bytes().splitlines(keepends=True)
    path = tmp_path / "hotline.csv"
    path.write_bytes(lines[0] + lines[1][:90] + newline + lines[2] + lines[3] + b'"odd","row"\n')
    follower = CelFollower(path)
    found, expected = follower.read(), record()
    assert found == [expected[0], expected[2], expected[3]]
    assert follower.damaged == 2
    follower.close()


def test_newlines_inside_quotes_belong_to_the_record() -> None:
    line = RECORD.read_bytes().splitlines(keepends=True)[0].replace(b"Jan", b"Jan\nor\r\nnot")
    (whole,), used = split_records(line)
    assert used == len(line)
    assert CelEvent.from_record(whole).name.startswith("Jan\nor\r\nnot")


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    records, used = split_records(data)
    assert b"".join(records) == data[:used]
    for one in records:
        with contextlib.suppress(ValueError, csv.Error):
            CelEvent.from_record(one)


def test_uuids_stay_the_same_between_versions() -> None:
    made = reconcile(of(TALK), set())
    assert made[0].call == UUID("d38f" + str(made[0].call)[4:])

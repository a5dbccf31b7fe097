"""Many callers at once on a real site: loop lag, processor time, answers, cases.

    .venv/bin/python benchmarks/calls.py [--callers 120] [--hold 15]

SIPp dials; nobody speaks, so no recognition runs. Load is bounded by number and time, all traffic
stays on loopback. Prints one JSON object.
"""

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("HOTLINE_TEST_SLOT", "9")
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.asterisk.site import HOST, NET, Site, until

BUCKET = re.compile(r'^hotline_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)


async def lag(site: Site) -> dict[str, float]:
    _, text = await site.http("/metrics")
    return {le: float(count) for le, count in BUCKET.findall(text)}


def at_quantile(before: dict[str, float], after: dict[str, float], quantile: float) -> str:
    counts = {le: after[le] - before.get(le, 0) for le in after}
    total = counts["+Inf"]
    return next(f"<= {le} s" for le, count in counts.items() if count >= quantile * total)


async def sipp(callers: int, hold_s: float, folder: Path) -> tuple[int, int]:
    process = await asyncio.create_subprocess_exec(
        "sipp", "-sn", "uac", f"{HOST}:5060", "-s", "19115", "-i", f"{NET}.2", "-p", "5060",
        "-mp", "7000", "-m", str(callers), "-l", str(callers), "-r", "20",
        "-d", str(int(hold_s * 1000)), "-timeout", str(int(hold_s + 60)), "-trace_stat",
        "-stf", str(folder / "stat.csv"), "-fd", "1",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip
    await process.wait()
    lines = (folder / "stat.csv").read_text().splitlines()
    last = dict(zip(lines[0].split(";"), lines[-1].split(";"), strict=False))
    return int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"])


async def main(callers: int, hold_s: float) -> None:
    folder = Path(tempfile.mkdtemp(prefix="hotline-bench-"))
    site = Site(folder)
    site.service._environment["HOTLINE_SERVICE__MAX_CALLS"] = str(callers + 10)
    try:
        await site.start()
        before, cpu = await lag(site), await site.metric("process_cpu_seconds_total")
        began = time.monotonic()
        most = 0.0
        load = asyncio.create_task(sipp(callers, hold_s, folder))
        while not load.done():
            most = max(most, await site.metric("hotline_calls_now"))
            await asyncio.sleep(0.5)
        good, bad = load.result()
        took = time.monotonic() - began
        after = await lag(site)
        used = await site.metric("process_cpu_seconds_total") - cpu

        async def drained() -> bool:
            return len(await site.store.list(limit=callers + 50)) >= good

        await until(drained, "every call has a case", 30)
        print(
            json.dumps(
                {
                    "callers": callers,
                    "at_once": most,
                    "calls_good": good,
                    "calls_bad": bad,
                    "cases": len(await site.store.list(limit=callers + 50)),
                    "loop_lag_p50": at_quantile(before, after, 0.5),
                    "loop_lag_p99": at_quantile(before, after, 0.99),
                    "service_cores": round(used / took, 3),
                    "seconds": round(took, 1),
                }
            )
        )
    finally:
        await site.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=120, choices=range(1, 301))
    parser.add_argument("--hold", type=float, default=15)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.callers, min(arguments.hold, 60)))

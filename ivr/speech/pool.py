"""A bounded number of worker threads for recognition, with deadlines.

    run() --- waits for a worker, at most queue_deadline_s ---> RecognizerOverloadedError
          --- runs, at most deadline_s -----------------------> RecognitionError

A thread cannot be killed. One whose job is past its deadline is left to itself and a fresh one
takes its place, until MAX_LOST of them hang; then nothing is accepted until one comes back.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ivr.errors import HotlineError

T = TypeVar("T")
MAX_LOST = 8
"""Hanging threads put up with."""


class RecognitionError(HotlineError):
    """A recognition that failed or took too long; the caller is asked again or gets the keypad."""


class RecognizerOverloadedError(RecognitionError):
    """No worker became free in time; the caller gets the keypad menu."""


class _Job:
    def __init__(self, work: Callable[[], Any], loop: asyncio.AbstractEventLoop):
        self.work, self.loop = work, loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.lost = False

    def run(self) -> None:
        result: Any = None
        failure: BaseException | None = None
        try:
            result = self.work()
        except BaseException as error:  # noqa: BLE001, RUF100 - it belongs to whoever asked
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._settle, result, failure)

    def _settle(self, result: Any, failure: BaseException | None) -> None:
        if self.future.done():
            return
        if failure is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(failure)


class RecognizerPool:
    """At most `workers` recognitions at once, shared by all engines and calls of one loop.

    Used from one event loop. `retain` and `close` count its users; the last close ends the threads.
    """

    def __init__(self, workers: int, *, queue_deadline_s: float, deadline_s: float):
        self.workers, self.queue_deadline_s, self.deadline_s = workers, queue_deadline_s, deadline_s
        self.running = 0
        self.lost = 0
        self._free = asyncio.Semaphore(workers)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = 0
        self._users = 0
        self._lock = threading.Lock()

    @property
    def free(self) -> bool:
        """Whether a recognition would begin at once; else it would wait for a worker."""
        return not self._free.locked() and self.lost < MAX_LOST

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a worker thread. Raises RecognitionError, RecognizerOverloadedError.

        A cancelled caller leaves at once; its worker is free again when the work has ended.
        """
        if self.lost >= MAX_LOST:
            raise RecognizerOverloadedError(f"{self.lost} recognitions hang: restart the hotline")
        try:
            async with asyncio.timeout(self.queue_deadline_s):
                await self._free.acquire()
        except TimeoutError:
            raise RecognizerOverloadedError(
                f"no recogniser became free in {self.queue_deadline_s:g} s"
                f" ({self.workers} at work): more workers or a faster machine"
            ) from None
        job = _Job(work, asyncio.get_running_loop())
        job.future.add_done_callback(lambda _: self._done(job))
        self.running += 1
        self._start_thread()
        self._jobs.put(job)
        try:
            done, _ = await asyncio.wait([job.future], timeout=self.deadline_s)
        except asyncio.CancelledError:
            job.loop.call_later(self.deadline_s, self._give_up, job)
            raise
        if not done:
            self._give_up(job)
            raise RecognitionError(f"recognition took longer than {self.deadline_s:g} s")
        try:
            result: T = job.future.result()
        except RecognitionError:
            raise
        except Exception as error:
            raise RecognitionError(f"recognition failed: {error!r}") from error
        return result

    def _done(self, job: _Job) -> None:
        if job.lost:
            self.lost -= 1
        else:
            self.running -= 1
            self._free.release()
        if not job.future.cancelled():
            job.future.exception()  # seen: whoever asked may be gone

    def _give_up(self, job: _Job) -> None:
        """Take the slot back from a job that hangs; a fresh thread replaces its own."""
        if job.future.done():
            return
        job.lost = True
        self.lost += 1
        self.running -= 1
        with self._lock:
            self._threads -= 1
        self._free.release()

    def _start_thread(self) -> None:
        with self._lock:
            if self._threads >= self.workers:
                return
            self._threads += 1
            name = f"recognizer-{self._threads}"
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
            if job.lost:
                return  # replaced meanwhile

    def retain(self) -> None:
        """Count one more user."""
        self._users += 1

    def close(self) -> None:
        """Count one user less; the last one ends the idle threads."""
        self._users -= 1
        if self._users <= 0:
            with self._lock:
                threads, self._threads = self._threads, 0
            for _ in range(threads):
                self._jobs.put(None)

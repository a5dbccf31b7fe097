"""What consultants do at their telephones: answer or not, talk, pause, lose the line."""

import asyncio
import math
from dataclasses import dataclass, field
from random import Random

from ivr.telephone import Telephone, TelephoneError

SIGMA = 0.8
LONGEST_S = 900.0


@dataclass(slots=True)
class Floor:
    """How the consultants behave."""

    sip: str
    random: Random
    talk_s: float
    no_answer: float = 0.02
    pause: float = 0.03
    done: dict[str, int] = field(default_factory=dict)
    """How often each thing was done."""

    async def work(self, phone: Telephone) -> None:
        """Answer calls until cancelled."""
        while True:
            try:
                await phone.wait_for("CALL_INCOMING", timeout=LONGEST_S)
                await self._take(phone)
            except TelephoneError:  # the caller was quicker, or the line is lost
                await asyncio.sleep(0.1)

    async def _take(self, phone: Telephone) -> None:
        if self.random.random() < self.no_answer:
            self._count("rang in vain")
            await phone.wait_for("CALL_CLOSED", timeout=60)
            await asyncio.sleep(3)
            await self._dial(phone, "*11")
            return
        await asyncio.sleep(self.random.uniform(0.5, 2))
        await phone.answer()
        await phone.wait_for("CALL_ESTABLISHED", timeout=5)
        self._count("talks")
        mean = math.log(self.talk_s) - SIGMA**2 / 2
        try:
            await phone.wait_for("CALL_CLOSED", timeout=self.random.lognormvariate(mean, SIGMA))
        except TelephoneError:
            await phone.hangup()
            await phone.wait_for("CALL_CLOSED", timeout=10)
        if self.random.random() < self.pause:
            self._count("pauses")
            await self._dial(phone, "*131")
            await asyncio.sleep(5)
            await self._dial(phone, "*11")

    async def lose_the_line(self, phone: Telephone, away_s: float) -> None:
        """Be off the network for a while, in mid call or not."""
        self._count("lines lost")
        await phone.stop()
        await asyncio.sleep(away_s)
        await phone.start()

    async def _dial(self, phone: Telephone, code: str) -> None:
        await phone.dial(f"sip:{code}@{self.sip}")
        await phone.wait_for("CALL_CLOSED", timeout=10)

    def _count(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1

"""The conversation, top to bottom as a caller lives it. It ends in an `Outcome`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ivr.cases.event import EventKind
from ivr.dialogue.line import Answer, Key, Line, Sentence, Silence, Unheard
from ivr.dialogue.menu import choose_from_menu
from ivr.dialogue.outcome import (
    EmergencyWishError,
    Outcome,
    PersonWishError,
    ToConsultant,
    ToEmergency,
)
from ivr.dialogue.places import PlaceOfCall
from ivr.settings import DialogueSettings
from ivr.speech.recognizer import Transcript
from ivr.types import Language
from ivr.understanding.answers import parse_yes_no
from ivr.understanding.meaning import Meaning, Understanding

Record = Callable[..., Awaitable[None]]
"""`await record(EventKind.HEARD, transcript=...)` keeps a step in the case."""

LANGUAGE_KEYS: dict[str, Language] = {"7": "pl", "8": "uk", "9": "en"}
GREETING = ("greeting", "emergency-hint", "language-hint")
PERSON = "other"
SUICIDE = "suicide"
"""The group of `queues/emergencies.yaml` whose callers are also told the crisis line."""


def to_emergency(why: str, meaning: Meaning) -> ToEmergency:
    """To 112, with the crisis line for who thinks of suicide."""
    return ToEmergency(why, crisis=meaning.group == SUICIDE)


class Conversation:
    """One caller, one conversation."""

    def __init__(
        self,
        line: Line,
        understanding: Understanding,
        settings: DialogueSettings,
        record: Record,
        place: PlaceOfCall,
    ):
        self._line, self._understanding, self._place = line, understanding, place
        self._settings, self._record = settings, record

    async def run(self) -> Outcome:
        """Talk until it is clear where the caller goes; raises CallerGoneError."""
        try:
            return await self._open_question()
        except EmergencyWishError:
            return ToEmergency("key 0")
        except PersonWishError:
            return ToConsultant(PERSON, "key *")

    async def _open_question(self) -> Outcome:
        if not self._line.hears:
            return await self._keypad_only()
        question: tuple[str, ...] = (*GREETING, "how-can-we-help")
        silent = unclear = 0
        while True:
            match await self._ask(*question):
                case Sentence(transcript=transcript) if transcript.text:
                    if outcome := await self._act_on(transcript):
                        return outcome
                    unclear += 1
                    question = ("no-match", "say-it-again")
                case Sentence(faint=True):
                    unclear += 1
                    question = ("speak-up", "how-can-we-help")
                case Sentence():  # a noise
                    unclear += 1
                    question = ("no-match", "say-it-again")
                case Silence():
                    silent += 1
                    question = ("no-input", "how-can-we-help")
                case Key(key) if key in LANGUAGE_KEYS:
                    await self._change_language(LANGUAGE_KEYS[key])
                    if not self._line.hears:
                        return await self._menu()
                    question = ("language-changed", "how-can-we-help")
                case Key():
                    return await self._menu()
                case Unheard(why):
                    await self._record(EventKind.HEARD, failed=why)
                    return await self._menu("switching-to-keypad")
            if silent > 1 or unclear > 1:
                return await self._menu("switching-to-keypad")

    async def _act_on(self, heard: Transcript) -> Outcome | None:
        meaning = await self._understand(heard)
        if meaning.emergency == "yes":
            self._line.language = heard.language
            return to_emergency(meaning.why, meaning)
        noticed = heard.language != self._line.language
        if noticed:
            await self._change_language(heard.language)
        if meaning.emergency == "ask" and await self._is_emergency():
            return to_emergency(f"confirmed: {meaning.why}", meaning)
        if noticed:
            await self._tell_language()
        if not meaning.unsure:
            return ToConsultant(meaning.topic, "speech")
        if meaning.second and meaning.confidence + meaning.second_confidence > 0.5:
            return await self._choice(meaning)
        return None

    async def _is_emergency(self) -> bool:
        """Ask; only a clear "no" means no: silence and anything else mean yes."""
        answer = await self._ask("confirm-emergency")
        match answer:
            case Key(key):
                confirmed = key not in ("2", "#")
            case Sentence(transcript=transcript):
                meaning = await self._meaning(transcript)
                said = parse_yes_no(transcript.text, transcript.language)
                confirmed = meaning.emergency == "yes" or said is not False
                await self._record(EventKind.HEARD, transcript=transcript.text, answer=said)
            case _:
                confirmed = True
        await self._record(EventKind.UNDERSTOOD, confirmed_emergency=confirmed)
        return confirmed

    async def _choice(self, meaning: Meaning) -> Outcome:
        """Two topics are close: let the caller choose."""
        first, second = meaning.topic, meaning.second or PERSON
        answer = await self._ask(
            "choice-one", f"topic-{first}", "press-one",
            "choice-one", f"topic-{second}", "press-two",
        )  # fmt: skip
        match answer:
            case Key("1"):
                return ToConsultant(first, "choice")
            case Key("2"):
                return ToConsultant(second, "choice")
            case Sentence(transcript=transcript) if transcript.text:
                again = await self._understand(transcript)
                if again.emergency != "no" and (
                    again.emergency == "yes" or await self._is_emergency()
                ):
                    return to_emergency(again.why, again)
                if again.topic in (first, second):
                    return ToConsultant(again.topic, "choice")
        return ToConsultant(PERSON, "unsure")

    async def _keypad_only(self) -> Outcome:
        match await self._ask(*GREETING, wait_s=1.5):
            case Key(key) if key in LANGUAGE_KEYS:
                await self._change_language(LANGUAGE_KEYS[key])
        return await self._menu()

    async def _menu(self, *before: str) -> Outcome:
        async def ask(*prompts: str) -> Answer:
            return await self._ask(*prompts, wait_s=self._settings.key_wait_s, listen=False)

        topic = await choose_from_menu(ask, self._understanding.topics, before)
        await self._record(EventKind.MENU_CHOSEN, topic=topic or PERSON)
        return ToConsultant(topic or PERSON, "keypad" if topic else "no answer at the keypad menu")

    async def _tell_language(self) -> None:
        """Tell whose language was noticed that it is spoken now, and the keys that lead back."""
        match await self._ask("language-changed", "language-hint", wait_s=0, listen=False):
            case Key(key) if key in LANGUAGE_KEYS:
                await self._change_language(LANGUAGE_KEYS[key])

    async def _change_language(self, language: Language) -> None:
        self._line.language = language
        await self._record(EventKind.LANGUAGE_CHANGED, language=language)

    async def _meaning(self, heard: Transcript) -> Meaning:
        """Understand in a thread: it takes 20 ms, in which other callers' audio must flow."""
        return await asyncio.to_thread(
            self._understanding.classify, heard.text, heard.language, heard.alternatives
        )

    async def _understand(self, heard: Transcript) -> Meaning:
        meaning = await self._meaning(heard)
        await self._record(
            EventKind.UNDERSTOOD,
            topic=meaning.topic,
            confidence=round(meaning.confidence, 3),
            second=meaning.second,
            unsure=meaning.unsure,
            emergency=meaning.emergency,
            why=meaning.why,
            **self._place.hear(heard.text, heard.language),
        )
        return meaning

    async def _ask(self, *prompts: str, wait_s: float | None = None, listen: bool = True) -> Answer:
        answer = await self._line.ask(
            *prompts,
            wait_s=self._settings.speech_wait_s if wait_s is None else wait_s,
            listen=listen,
            enough=self._certain_emergency,
        )
        match answer:
            case Key(key):
                await self._record(EventKind.KEY, key=key)
                if key == "0":
                    raise EmergencyWishError
                if key == "*":
                    raise PersonWishError
            case Sentence(transcript=heard, early=early, after_s=after_s):
                facts: dict[str, Any] = {"transcript": heard.text, "engine": heard.engine}
                if heard.confidence is not None:
                    facts["confidence"] = round(heard.confidence, 3)
                await self._record(
                    EventKind.HEARD,
                    **facts,
                    language=heard.language,
                    seconds=round(heard.seconds, 3),
                    after_s=round(after_s, 3),
                    early=early,
                )
        return answer

    def _certain_emergency(self, so_far: Transcript) -> bool:
        return self._understanding.certain_danger(so_far.text, so_far.language)

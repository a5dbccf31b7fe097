"""Everything a service reads before it starts; whatever is wrong is said before anything runs."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ivr.dialogue.script import GREETING
from ivr.errors import HotlineError
from ivr.routing.rota import load_rota
from ivr.routing.skills import Consultant, Routing, load_consultants, load_routing
from ivr.routing.staff import Staff
from ivr.routing.trace import Profile, load_profile
from ivr.settings import Settings
from ivr.speech.prompts import PromptStore
from ivr.speech.recognizer import Recognizer, select_recognizers
from ivr.speech.vad import VoiceActivityModel
from ivr.types import Language
from ivr.understanding.catalogue import Topics, load_topics
from ivr.understanding.meaning import Understanding
from ivr.understanding.place import Gazetteer
from ivr.understanding.sample_set import EMERGENCY

REQUIRED_PROMPTS = (
    *GREETING, "how-can-we-help", "no-input", "no-match", "say-it-again", "menu",
    "confirm-emergency", "transfer-emergency", "emergency-failed", "emergency-retry",
    "connecting-topic", "all-busy", "thank-you", "degraded", "choice-one", "press-one",
    "press-two", "language-changed", "switching-to-keypad", "speak-up",
    "crisis-line",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """Topics, consultants and routing: what `queues/` says."""

    topics: Topics
    consultants: tuple[Consultant, ...]
    routing: Routing


def load_plan(folder: Path) -> Plan:
    """Read `queues/`; raises ConfigError."""
    return load_plan_for(load_topics(folder / "topics.yaml"), folder)


def load_plan_for(topics: Topics, folder: Path) -> Plan:
    """Read consultants and routing for topics that are loaded already; raises ConfigError."""
    skills = frozenset(topics.ids) - {EMERGENCY}
    consultants = load_consultants(folder / "consultants.yaml", skills)
    queues = frozenset(topic.queue for topic in topics.all if topic.queue)
    routing = load_routing(folder / "routing.yaml", skills, consultants, queues)
    return Plan(topics, consultants, routing)


def load_staff(folder: Path) -> tuple[Staff, dict[str, str]]:
    """Read who answers, and the queue of each topic but "emergency"; raises ConfigError."""
    plan = load_plan(folder)
    queues: dict[str, str] = {t.id: t.queue for t in plan.topics.all if t.queue}
    return Staff(plan.consultants, plan.routing), queues


def rota_warnings(folder: Path, plan: Plan) -> list[str]:
    """Read the rota, if there is one, and tell what hours it leaves alone; raises ConfigError."""
    file = folder / "rota.yaml"
    if not file.exists():
        return []
    staff = Staff(plan.consultants, plan.routing)
    topics = [topic for topic in plan.topics.ids if topic != EMERGENCY]
    warnings = load_rota(file, staff.ids).warnings(staff, plan.routing, topics)
    return [f"{file}: {warning}" for warning in warnings]


def plan_files(folder: Path) -> list[Path]:
    """The files of `queues/` that somebody may edit, those of its subfolders too."""
    return sorted(
        file
        for suffix in ("yaml", "csv", "tsv")
        for file in folder.rglob(f"*.{suffix}")
        if not file.name.startswith(".")  # an editor's own
    )


def contents(folder: Path) -> dict[str, str]:
    """A hash of each of `plan_files`, by its name in the folder."""
    found = {}
    for file in plan_files(folder):
        try:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError as error:  # just removed, or not to be read: another content too
            digest = str(error)
        found[str(file.relative_to(folder))] = digest
    return found


@dataclass(frozen=True, slots=True)
class Loaded:
    """All of it."""

    files: Mapping[str, str]
    """What was in `queues/` before it was read (see `contents`)."""
    plan: Plan
    profile: Profile
    prompts: PromptStore
    recognizers: dict[Language, Recognizer | None]
    understanding: Understanding
    places: Gazetteer
    voice_activity: VoiceActivityModel


def load_prompts(settings: Settings, topics: Topics) -> PromptStore:
    """Read the recordings; raises HotlineError when one that callers need is missing."""
    spoken = [f"topic-{topic}" for topic in topics.ids if topic != EMERGENCY]
    return PromptStore.load(settings.files.prompts, [*REQUIRED_PROMPTS, *spoken])


def load_all(settings: Settings) -> Loaded:
    """Read and train everything; takes seconds, so call it in a thread. Raises HotlineError."""
    files = contents(settings.files.queues)
    plan = load_plan(settings.files.queues)
    profile = load_profile(
        settings.files.queues / "profile.yaml", frozenset(plan.topics.ids) - {EMERGENCY}
    )
    prompts = load_prompts(settings, plan.topics)
    places = Gazetteer.of_city(settings.files.queues)

    def rank(heard: Sequence[tuple[str, float]], language: Language) -> list[str]:
        return understanding.likeliest_first(heard, language)

    # A model that is missing is told before minutes are spent on learning.
    recognizers = select_recognizers(settings.speech, settings.files.models, rank=rank)
    understanding = Understanding.load(settings.files.queues, settings.state_dir / "cache")
    return Loaded(
        files, plan, profile, prompts, recognizers, understanding, places, VoiceActivityModel()
    )


def require_folders(settings: Settings) -> None:
    """Raise HotlineError when the service is started in the wrong folder."""
    for name in ("queues", "prompts", "dialplans", "asterisk"):
        folder = getattr(settings.files, name)
        if not folder.is_dir():
            raise HotlineError(
                f"the folder {folder} is missing: start from the project's folder, "
                f"or set [files] {name} in config/hotline.toml"
            )

"""The keypad menu: the way for everybody whom speech does not serve."""

from collections.abc import Awaitable, Callable

from ivr.dialogue.line import Answer, Key
from ivr.understanding.catalogue import Topic, Topics

ATTEMPTS = 2


async def choose_from_menu(
    ask: Callable[..., Awaitable[Answer]], topics: Topics, before: tuple[str, ...] = ()
) -> str | None:
    """Read the menu out, at most twice, and return the topic chosen; None for none.

    `ask` handles keys 0 and * itself.
    """
    for attempt in range(ATTEMPTS):
        answer = await ask(*before, "menu")
        if isinstance(answer, Key) and (chosen := topics.by_key(answer.key)):
            return await _one_of(ask, chosen)
        before = ("no-match",) if isinstance(answer, Key) else ("no-input",)
        if attempt + 1 == ATTEMPTS:
            break
    return None


async def _one_of(ask: Callable[..., Awaitable[Answer]], chosen: tuple[Topic, ...]) -> str:
    """Ask which of two topics a key stands for, where they lead to different queues."""
    first = chosen[0]
    others = [topic for topic in chosen if topic.queue != first.queue]
    if not others:
        return first.id
    answer = await ask(
        "choice-one", f"topic-{first.id}", "press-one",
        "choice-one", f"topic-{others[0].id}", "press-two",
    )  # fmt: skip
    return others[0].id if answer == Key("2") else first.id

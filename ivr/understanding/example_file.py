"""Example sentences added to queues/topics.yaml as text: comments and layout stay as they are."""

import json
from collections.abc import Iterable
from typing import Any

import yaml

from ivr.understanding.catalogue import Example

TRICKY = "tricky"


class UnknownTopicError(ValueError):
    """A topic that the file does not have."""


def with_examples(text: str, examples: Iterable[Example]) -> str:
    """Return the text of a topics file with these sentences at the end of their lists.

    Raises UnknownTopicError. The result still has to pass `load_topics`.
    """
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for example in examples:
        field = TRICKY if example.kind == TRICKY else "examples"
        grouped.setdefault((example.topic, field, example.language), []).append(example.text)
    for (topic, field, language), sentences in grouped.items():
        text = _insert(text, topic, field, language, sentences)
    return text


def _insert(text: str, topic: str, field: str, language: str, sentences: list[str]) -> str:
    node = _topic(text, topic)
    items = [f"        - {json.dumps(sentence, ensure_ascii=False)}" for sentence in sentences]
    lists = _value(node, field)
    if lists is None:
        after, new = _last_line(_value(node, "examples") or node), [f"    {field}:"]
        new.append(f"      {language}:")
    elif (existing := _value(lists, language)) is not None:
        after, new = _last_line(existing), []
    else:
        after, new = _last_line(lists), [f"      {language}:"]
    lines = text.split("\n")
    return "\n".join([*lines[: after + 1], *new, *items, *lines[after + 1 :]])


def _topic(text: str, topic: str) -> Any:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    topics = _value(root, "topics") if root is not None else None
    for node in topics.value if isinstance(topics, yaml.SequenceNode) else ():
        name = _value(node, "id")
        if isinstance(name, yaml.ScalarNode) and name.value == topic:
            return node
    raise UnknownTopicError(f"there is no topic {topic!r}")


def _value(node: Any, key: str) -> Any:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key:
                return value
    return None


def _last_line(node: Any) -> int:
    """The line, from 0, on which the last scalar of a node ends."""
    while isinstance(node, yaml.CollectionNode) and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    line: int = node.end_mark.line
    return line

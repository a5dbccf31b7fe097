"""YAML read so that every complaint can name the line it is about."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ivr.errors import ConfigError

Place = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


class StrictModel(BaseModel):
    """A piece of configuration: unknown keys and wrong types are errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Configuration(BaseModel):
    """A piece of configuration whose lists become tuples and whose times are text."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source:
    """One YAML file: its data, and the line of each of its places."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[Place, int] = {}
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ConfigError(path, f"cannot be read: {reason}") from error
        try:
            if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
                raise ConfigError(path, "YAML aliases are not used here", hint="write it out")
            loader = yaml.SafeLoader(text)
            node = loader.get_single_node()
            self.data: Any = None if node is None else self._build(loader, node, ())
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or "not YAML"
            line = mark.line + 1 if mark else None
            raise ConfigError(
                path, str(problem), line=line, hint="check indent and quotes"
            ) from error
        except ValueError as error:  # for example a date that no calendar has
            raise ConfigError(path, f"not YAML: {error}") from error
        except RecursionError as error:
            raise ConfigError(path, "nested too deeply", hint="check the brackets") from error

    def _build(self, loader: yaml.SafeLoader, node: yaml.Node, place: Place) -> Any:
        self._lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(loader, n, (*place, i)) for i, n in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return loader.construct_object(node)
        mapping: dict[Any, Any] = {}
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(self.path, "a key must be a word", line=line)
            key = key_node.value
            if key in mapping:
                raise ConfigError(
                    self.path, f"key {key!r} is here twice", line=line, hint="remove one"
                )
            self._lines[(*place, key)] = line
            mapping[key] = self._build(loader, value, (*place, key))
        return mapping

    def line(self, *place: str | int) -> int | None:
        """Return the line of a place, or of the nearest thing round it."""
        while place not in self._lines and place:
            place = place[:-1]
        return self._lines.get(place)

    def error(self, message: str, *place: str | int, hint: str = "") -> ConfigError:
        """Return a ConfigError about a place in this file."""
        return ConfigError(self.path, message, line=self.line(*place), hint=hint)

    def validate(self, model: type[ModelT]) -> ModelT:
        """Return the data as a model; raises ConfigError for the first thing that is wrong."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            errors = error.errors(include_url=False)
            # A misspelt key is the reason of a missing one: it is told first.
            first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            if first["type"] == "extra_forbidden":
                message, hint = f"unknown key {first['loc'][-1]!r} in {where}", "misspelt?"
            else:
                message, hint = f"{where}: {first['msg']}", f"found {first['input']!r:.60}"
            raise self.error(message, *first["loc"], hint=hint) from error

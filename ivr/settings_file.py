"""`config/hotline.toml`, read and checked as a whole before anything starts."""

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ivr.errors import ConfigError
from ivr.settings import Settings


def load_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Raises `ConfigError` with the file, the line and a hint; nothing is started half configured.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(path, "there is no such file", hint="name it with --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, f"cannot be read: {error}") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"line (\d+)", str(error))
        line = int(match[1]) if match else None
        raise ConfigError(path, f"is not TOML: {error}", line=line) from None
    try:
        return Settings(**values)
    except ValidationError as error:
        raise _explain(path, text, error) from None


def _explain(path: Path, text: str, error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    keys = [str(part) for part in first["loc"] if not isinstance(part, int)]
    line = _line_of(text, keys)
    name = ".".join(keys) or "the file"
    if first["type"] == "extra_forbidden":
        return ConfigError(path, f"unknown key {name}", line=line, hint=_known(keys))
    more = error.error_count() - 1
    tail = f"; and {more} more" if more else ""
    return ConfigError(
        path, f"{name}: {first['msg']}, but it is {_short(first['input'])}{tail}", line=line
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known(keys: list[str]) -> str:
    model: type[BaseModel] = Settings
    for key in keys[:-1]:
        field = model.model_fields.get(key)
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ):
            break
        model = field.annotation
    return "known here: " + ", ".join(model.model_fields)


def _line_of(text: str, keys: list[str]) -> int | None:
    """Find the line of a key in TOML text; the section's own line where the key is not there."""
    section, found = "", None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if header := re.match(r"\[\s*([^\]]+?)\s*\]", line):
            section = header[1]
            if section.split(".") == keys[: len(section.split("."))]:
                found = number
        elif (
            keys
            and section.split(".") == keys[:-1]
            and re.match(rf'"?{re.escape(keys[-1])}"?\s*=', line)
        ):
            return number
    return found

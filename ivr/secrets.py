"""Generated secrets: made once, kept outside git in a file only its owner can read."""

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from ivr.errors import HotlineError


class Secrets:
    """The secrets of one state folder: `<state>/secrets.json`, mode 0600."""

    def __init__(self, path: Path):
        self._path = path
        try:
            self._values: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        except (OSError, ValueError) as error:
            raise HotlineError(
                f"{path} cannot be used ({error}): remove it, the next start makes new ones"
            ) from None

    def ensure(self, names: Iterable[str]) -> None:
        """Make the secrets that are not there yet, and save all."""
        missing = [name for name in names if name not in self._values]
        if not missing:
            return
        self._values |= {name: secrets.token_urlsafe(24) for name in missing}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(self._values, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)

    def __getitem__(self, name: str) -> str:
        """The secret of that name; KeyError when `ensure` never named it."""
        return self._values[name]

    def __str__(self) -> str:
        return str(self._path)

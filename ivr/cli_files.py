"""Files that commands write where the user says."""

from pathlib import Path

from ivr.errors import HotlineError


def require_writable(*files: Path | None) -> None:
    """Raise HotlineError before the work is done when a file could not be written after it."""
    for file in files:
        if file and (file.is_dir() or not file.parent.is_dir()):
            raise HotlineError(f"{file}: cannot be written: name a file in a folder that exists")


def write(file: Path, text: str) -> None:
    """Write text; raises HotlineError."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HotlineError(f"{file}: cannot be written: {error.strerror}") from None

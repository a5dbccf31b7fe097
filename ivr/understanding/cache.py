"""Trained models kept between starts, in the project's own state folder and nowhere else.

A file is one line of JSON (the key it was made for, the SHA-256 of the rest) and a joblib dump.
It is loaded only when it belongs to us, nobody else may write it or its folder, and key and hash
agree; anything else is thrown away and built again.
"""

import contextlib
import hashlib
import io
import json
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import joblib

T = TypeVar("T")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def cached(folder: Path, name: str, key: str, kind: type[T], build: Callable[[], T]) -> T:
    """Return the object kept under this name for this key, or else built and kept.

    A cache that cannot be written is no reason to fail: the object is built all the same.
    """
    path = folder / f"{name}.joblib"
    found = _load(path, key, kind)
    if found is not None:
        return found
    built = build()
    with contextlib.suppress(OSError):
        _store(path, key, built)
    return built


def _load(path: Path, key: str, kind: type[T]) -> T | None:
    try:
        if not (_ours(path.parent) and _ours(path)):
            return None
        with path.open("rb") as file:
            head = json.loads(file.readline(1000))
            body = file.read()
        if head["key"] != key or head["sha256"] != hashlib.sha256(body).hexdigest():
            path.unlink()
            return None
        found = joblib.load(io.BytesIO(body))
    except FileNotFoundError:
        return None
    except Exception:  # whatever is wrong with a broken file, building again mends it
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    return found if isinstance(found, kind) else None


def _ours(path: Path) -> bool:
    """Whether a file or folder belongs to this user and only this user can write it."""
    info = path.lstat()
    return (
        not stat.S_ISLNK(info.st_mode)
        and info.st_uid == os.getuid()
        and not info.st_mode & _OTHERS_WRITE
    )


def _store(path: Path, key: str, built: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    buffer = io.BytesIO()
    joblib.dump(built, buffer)
    body = buffer.getvalue()
    head = json.dumps({"key": key, "sha256": hashlib.sha256(body).hexdigest()})
    # mkstemp makes the file with mode 0600
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(head.encode() + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise

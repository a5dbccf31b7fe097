"""Fetch one file over HTTP, checked, resumable and never half used; open an archive safely."""

import hashlib
import http.client
import shutil
import stat
import urllib.error
import urllib.request
import zipfile
from pathlib import Path, PurePosixPath

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ivr.errors import HotlineError

CHUNK = 1 << 18
SOCKET_TIMEOUT_S = 30.0
ATTEMPTS = 3
MAX_UNPACKED = 8 << 30
"""Bytes an archive may unfold to."""


class DownloadError(HotlineError):
    """A download that did not come to a verified end; nothing of it is used."""


class _CutError(Exception):
    """The connection ended early; what came is kept in the `.part` file."""


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(
    url: str, target: Path, *, sha256: str, size: int | None = None, progress: bool = True
) -> Path:
    """Bring `url` to `target`; the file appears there only when size and SHA-256 are right.

    What has come is kept in `<target>.part`; a later call goes on from there with an HTTP range
    (a server without ranges sends it all again). A `.part` that turns out wrong is thrown away.
    Blocking: for the command line. Raises DownloadError.
    """
    if not url.startswith(("https://", "http://")):
        raise DownloadError(f"{url}: only http and https addresses can be fetched")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    for attempt in range(1, ATTEMPTS + 1):
        resumed = part.exists() and part.stat().st_size > 0
        try:
            _transfer(url, part, size, progress)
        except _CutError as cut:
            if attempt == ATTEMPTS:
                raise DownloadError(f"{url}: {cut}; run it again to go on from there") from None
            continue
        except urllib.error.HTTPError as error:
            raise DownloadError(f"{url}: the server answers {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise DownloadError(f"{url}: cannot be reached ({reason})") from None
        got = part.stat().st_size
        if (size is None or got == size) and sha256_of(part) == sha256:
            part.replace(target)
            return target
        part.unlink()
        if not resumed:  # a resumed file may have mixed two versions: once more from the beginning
            break
    raise DownloadError(
        f"{url}: what came ({got} bytes) is not the file expected (size or SHA-256); thrown away"
    )


def _transfer(url: str, part: Path, size: int | None, progress: bool) -> None:
    have = part.stat().st_size if part.exists() else 0
    if size is not None and have >= size:
        return  # complete, or wrong: the caller's check tells
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - scheme checked above
    try:
        response = urllib.request.urlopen(request, timeout=SOCKET_TIMEOUT_S)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            error.close()
            return
        raise
    with response:
        begins = f"bytes {have}-"
        if response.status == http.HTTPStatus.PARTIAL_CONTENT and str(
            response.headers.get("Content-Range", "")
        ).startswith(begins):
            mode = "ab"
        else:
            mode, have = "wb", 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else size
        with part.open(mode) as file, _bar(progress) as bar:
            task = bar.add_task(part.name.removesuffix(".part"), total=total, completed=have)
            try:
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    have += len(chunk)
                    bar.update(task, completed=have)
            except (TimeoutError, ConnectionError, http.client.HTTPException):
                pass  # told below by what is missing
        if total is None or have < total:
            raise _CutError(f"the connection ended after {have} of {total or 'unknown'} bytes")


def _bar(shown: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, disable=not shown)


def unpack_zip(archive: Path, folder: Path) -> None:
    """Unpack a zip into `folder`, without its single top folder if all lies in one.

    Raises DownloadError for a broken archive, a path that leaves the folder, a link, or more than
    8 GiB unpacked; nothing is written then.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = [m for m in zipped.infolist() if not m.is_dir()]
            for member in members:
                _refuse(archive, member)
            if sum(m.file_size for m in members) > MAX_UNPACKED:
                raise DownloadError(f"{archive.name}: unfolds to more than 8 GiB; not unpacked")
            paths = [PurePosixPath(m.filename) for m in members]
            tops = {path.parts[0] for path in paths}
            strip = 1 if len(tops) == 1 and all(len(path.parts) > 1 for path in paths) else 0
            for member, path in zip(members, paths, strict=True):
                place = folder.joinpath(*path.parts[strip:])
                place.parent.mkdir(parents=True, exist_ok=True)
                with zipped.open(member) as source, place.open("wb") as sink:
                    shutil.copyfileobj(source, sink, CHUNK)
    except (zipfile.BadZipFile, RuntimeError, EOFError) as error:  # encrypted, packed unusually
        raise DownloadError(f"{archive.name}: not a usable zip archive ({error})") from None


def _refuse(archive: Path, member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename)
    unsafe = path.is_absolute() or ".." in path.parts or not path.parts
    if unsafe or "\\" in member.filename or ":" in path.parts[0]:
        raise DownloadError(f"{archive.name}: {member.filename!r} leaves the folder; not unpacked")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DownloadError(f"{archive.name}: {member.filename!r} is a link; not unpacked")

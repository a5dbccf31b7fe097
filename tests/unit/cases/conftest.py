"""Databases to test with: a SQLite file, and a PostgreSQL cluster of this session's own."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ivr.cases.store import CaseStore


class Cluster:
    """A PostgreSQL server on a unix socket, as a user who is not root."""

    def __init__(self, binaries: Path, folder: Path):
        self._binaries, self.folder = binaries, folder
        self._count = 0

    def call(self, program: str, *arguments: str) -> None:
        who = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam(_user())
            who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        subprocess.run(
            [self._binaries / program, *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=60,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            **who,
        )

    def create(self) -> None:
        self.call(
            "initdb", "-D", f"{self.folder}/data", "-U", "hotline", "-A", "trust", "-E", "UTF8",
            "--no-sync",
        )  # fmt: skip

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off"
        log = f"{self.folder}/log"
        self.call("pg_ctl", "start", "-w", "-D", f"{self.folder}/data", "-l", log, "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        self.call("pg_ctl", "stop", "-w", "-D", f"{self.folder}/data", "-m", mode)

    def new_database(self) -> str:
        self._count += 1
        name = f"hotline{self._count}"
        self.call("createdb", "-h", str(self.folder), "-U", "hotline", name)
        return f"postgresql+asyncpg://hotline@/{name}?host={self.folder}"


def _user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        pytest.skip("PostgreSQL's server programs are not installed here")
    folder = Path(tempfile.mkdtemp(prefix="hotline-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, _user())
    cluster = Cluster((found[-1] if found else Path(str(on_path))).parent, folder)
    try:
        cluster.create()
        cluster.start()
        yield cluster
        cluster.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/cases.db"
    cluster: Cluster = request.getfixturevalue("postgresql")
    return cluster.new_database()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/cases.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[CaseStore]:
    store = CaseStore(url)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def sqlite_store(sqlite_url: str) -> AsyncIterator[CaseStore]:
    store = CaseStore(sqlite_url)
    await store.open()
    yield store
    await store.close()

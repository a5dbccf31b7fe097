from pathlib import Path

import pytest

from ivr.understanding.cache import cached


def build_counter(built: list[int]) -> dict[str, int]:
    built.append(1)
    return {"built": len(built)}


def test_kept_and_taken(tmp_path: Path) -> None:
    built: list[int] = []
    folder = tmp_path / "deep" / "cache"
    for _ in range(2):
        assert cached(folder, "x", "k1", dict, lambda: build_counter(built)) == {"built": 1}
    assert [p.name for p in folder.iterdir()] == ["x.joblib"]
    assert (folder / "x.joblib").stat().st_mode & 0o777 == 0o600
    assert cached(folder, "x", "k2", dict, lambda: build_counter(built)) == {"built": 2}


@pytest.mark.parametrize(
    "damage", ["empty", "half", "flip", "text", "folder-open", "file-open", "link"]
)
def test_broken_or_foreign_files_are_not_loaded(tmp_path: Path, damage: str) -> None:
    built: list[int] = []
    path = tmp_path / "x.joblib"
    cached(tmp_path, "x", "k", dict, lambda: build_counter(built))
    whole = path.read_bytes()
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "half":
            path.write_bytes(whole[: len(whole) // 2])
        case "flip":
            path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        case "text":
            path.write_text("[1]\nnothing")
        case "folder-open":
            tmp_path.chmod(0o777)
        case "file-open":
            path.chmod(0o666)
        case "link":
            path.rename(tmp_path / "y")
            path.symlink_to(tmp_path / "y")
    assert cached(tmp_path, "x", "k", dict, lambda: build_counter(built)) == {"built": 2}
    tmp_path.chmod(0o700)
    assert cached(tmp_path, "x", "k", dict, lambda: build_counter(built)) == {"built": 2}


def test_another_type_is_built_again(tmp_path: Path) -> None:
    cached(tmp_path, "x", "k", list, lambda: [1])
    assert cached(tmp_path, "x", "k", dict, lambda: {"a": 1}) == {"a": 1}


def test_no_place_to_write_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert cached(tmp_path / "file" / "cache", "x", "k", dict, dict) == {}

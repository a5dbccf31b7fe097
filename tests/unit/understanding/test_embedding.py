"""Vectors of many sentences are kept in a file, and taken from it."""

from pathlib import Path

import numpy as np
import pytest

from ivr.understanding import embedding

SENTENCES = [f"zdanie numer {i}" for i in range(embedding.MANY)]


def test_kept_vectors_are_taken_and_only_new_ones_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "cache" / "senses.npz"
    found = embedding.vectors(SENTENCES, kept)
    assert found is not None
    asked: list[str] = []
    real = embedding._side_by_side

    def counted(sentences: list[str]) -> embedding.Vectors:
        asked.extend(sentences)
        return real(sentences)

    monkeypatch.setattr(embedding, "_side_by_side", counted)
    again = embedding.vectors([*SENTENCES, "ktoś tonie"], kept)
    assert again is not None
    assert asked == ["ktoś tonie"]
    assert np.array_equal(found, again[:-1])
    alone = embedding.vectors(["ktoś tonie"])
    assert alone is not None
    assert np.allclose(alone[0], again[-1], atol=1e-6)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY"])
def test_a_broken_file_is_no_reason_to_fail(tmp_path: Path, content: bytes) -> None:
    kept = tmp_path / "senses.npz"
    kept.write_bytes(content)
    assert embedding.vectors(SENTENCES, kept) is not None
    assert embedding._read(kept)


def test_a_file_of_another_model_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "senses.npz"
    embedding.vectors(SENTENCES, kept)
    assert len(embedding._read(kept)) == len(SENTENCES)
    monkeypatch.setattr(embedding, "version", lambda: "another")
    assert embedding._read(kept) == {}

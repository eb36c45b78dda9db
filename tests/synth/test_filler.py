"""Filler has the given size and kind and is the same on every run."""

from __future__ import annotations

import io
import zlib
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.filler import FILLERS, Given, Zeros, filler


def content(kind: str, size: int, seed: str) -> bytes:
    file = io.BytesIO()
    filler(kind, size, seed).write_to(file)
    assert file.tell() == size
    file.truncate(size)
    return file.getvalue()


@given(st.sampled_from(sorted(FILLERS)), st.integers(0, 20_000), st.text(max_size=8))
def test_size_and_determinism(kind: str, size: int, seed: str) -> None:
    first = content(kind, size, seed)
    assert len(first) in (size, 0 if kind == "zeros" else size)
    assert content(kind, size, seed) == first


@pytest.mark.parametrize("kind", ["noise", "mixed"])
def test_chunks_join_without_a_seam(kind: str) -> None:
    """Content of several chunks begins like content of one chunk, and depends on the seed."""
    long = content(kind, (4 << 20) + 5000, "seed")
    assert long[: 4 << 20] == content(kind, 4 << 20, "seed")
    assert content(kind, 5000, "other") != long[:5000]


def test_filler_never_changes() -> None:
    """A change here would change the bytes of every scenario, those of the committed dump included."""
    digests = {kind: sha256(content(kind, 100_000, "seed")).hexdigest()[:16] for kind in ("noise", "mixed")}
    assert digests == {"noise": "f2ab53b67897ce2e", "mixed": "ed8d0d8521ba2a4a"}


def test_noise_does_not_compress_and_mixed_does() -> None:
    noise, mixed = content("noise", 1 << 20, "seed"), content("mixed", 1 << 20, "seed")
    assert len(zlib.compress(noise)) > len(noise)
    assert len(mixed) // 8 < len(zlib.compress(mixed)) < len(mixed) * 3 // 4


def test_mixed_has_text_and_zero_pages() -> None:
    mixed = content("mixed", 1 << 20, "seed")
    pages = [mixed[start : start + 4096] for start in range(0, len(mixed), 4096)]
    assert 10 < pages.count(bytes(4096)) < 100
    assert b"bcryptprimitives.dll" in mixed
    assert "bcryptprimitives.dll".encode("utf-16-le") in mixed


def test_given_bytes_and_zeros() -> None:
    file = io.BytesIO()
    Given(b"abc").write_to(file)
    Zeros(5).write_to(file)
    Given(b"d").write_to(file)
    assert file.getvalue() == b"abc\0\0\0\0\0d"
    assert (Given(b"abc").size, Zeros(5).size) == (3, 5)


def test_unknown_filler() -> None:
    with pytest.raises(ScenarioError, match="expected one of zeros, noise, mixed"):
        filler("random", 1, "")

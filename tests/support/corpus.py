"""Where the checkout, its samples and the corpus of real dumps lie. The corpus is beside the checkout, if anywhere."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""
SAMPLES = ROOT / "sample_dumps"
SHARED = ROOT.parent / "shared"
CORPUS = SHARED / "corpus" / "minidump"
SYMBOLS = SHARED / "symbols"
CORES = SHARED / "corpus" / "core"
LINUX = SHARED / "corpus" / "linux"
WINE = "wine-symcrypt-x64"


def corpus_dumps() -> list[Path]:
    """Uncompressed real minidumps, for parametrised tests; empty where the corpus is absent."""
    return sorted(CORPUS.glob("*.dmp"))


def unpacked_linux(directory: Path) -> Path:
    """Unpack the image of a real Linux kernel; skip where it is absent or nothing here can do that."""
    packed = LINUX / "bw61.raw.zst"
    if not packed.exists():
        pytest.skip(f"no image of a Linux kernel at {LINUX}")
    if not shutil.which("zstd"):
        pytest.skip("no zstd on this machine")
    path = directory / "bw61.raw"
    subprocess.run(["zstd", "-qd", "--long=27", "--sparse", packed, "-o", path], check=True)
    return path


def unpacked_core(packed: str, directory: Path) -> Path:
    """Unpack a core of the corpus; skip where nothing here can do that."""
    if not shutil.which("zstd"):
        pytest.skip("no zstd on this machine")
    path = directory / packed.removesuffix(".zst")
    subprocess.run(["zstd", "-qd", CORES / packed, "-o", path], check=True)
    return path

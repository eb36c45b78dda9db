"""Where the checkout, its samples and the corpus of real dumps lie. The corpus is beside the checkout, if anywhere."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""
SAMPLES = ROOT / "sample_dumps"
SHARED = ROOT.parent / "shared"
CORPUS = SHARED / "corpus" / "minidump"
SYMBOLS = SHARED / "symbols"
WINE = "wine-symcrypt-x64"


def corpus_dumps() -> list[Path]:
    """Uncompressed real minidumps, for parametrised tests; empty where the corpus is absent."""
    return sorted(CORPUS.glob("*.dmp"))

"""Real dumps lie beside the checkout, where they lie at all: what needs them skips with the reason."""

from __future__ import annotations

import json
import lzma
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from support.corpus import CORPUS, LINUX, WINE, unpacked_linux

if TYPE_CHECKING:
    from pathlib import Path

# How long an example takes depends on the machine, and says nothing of the code.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dumpscan", settings.get_profile("explore"), derandomize=True, database=None)
settings.load_profile("dumpscan")


@pytest.fixture(scope="session")
def wine_dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full-memory dump of a real Windows x64 process, unpacked."""
    packed = CORPUS / f"{WINE}.dmp.xz"
    if not packed.exists():
        pytest.skip(f"no corpus of real dumps at {CORPUS}")
    path = tmp_path_factory.mktemp("corpus") / f"{WINE}.dmp"
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    return path


@pytest.fixture(scope="session")
def wine_truth() -> dict[str, Any]:
    """What lies in `wine_dump`, as recorded when it was made."""
    path = CORPUS / f"{WINE}.truth.json"
    if not path.exists():
        pytest.skip(f"no corpus of real dumps at {CORPUS}")
    truth: dict[str, Any] = json.loads(path.read_text())
    return truth


@pytest.fixture(scope="session")
def linux_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of the memory of a real Linux 6.1 machine, unpacked."""
    return unpacked_linux(tmp_path_factory.mktemp("linux"))


@pytest.fixture(scope="session")
def linux_truth() -> dict[str, Any]:
    """What `/proc` said of the machine of `linux_image`, and which keys were planted in it."""
    path = LINUX / "bw61.truth.json"
    if not path.exists():
        pytest.skip(f"no image of a Linux kernel at {LINUX}")
    truth: dict[str, Any] = json.loads(path.read_text())
    return truth

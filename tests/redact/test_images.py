"""Images of physical memory: secrets go from each frame that they lie in."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from dumpscan import PrivateKey, open_dump, search
from dumpscan.memory.formats import OpenOptions
from dumpscan.redact.run import RedactOptions, examine, redact
from dumpscan.redact.secret import What
from support.kdump_bytes import BLOCK, Kdump
from support.kernel_images import Lab, build_lab

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build_lab(tmp_path_factory.mktemp("lab"))


def test_an_image_of_windows(lab: Lab, tmp_path: Path) -> None:
    options = RedactOptions(opening=OpenOptions(symbols=(lab.symbols,)))
    target = tmp_path / "clean.raw"
    with open_dump(lab.image, symbols=[lab.symbols]) as dump:
        (key,) = [finding for finding in search(dump, "keys") if isinstance(finding, PrivateKey)]
    assert len(key.locations[0].extents) == 2, "it lies in two frames that are apart in the file"
    loaded = load_der_private_key(key.pkcs8, None)
    assert isinstance(loaded, EllipticCurvePrivateKey)
    scalar = loaded.private_numbers().private_value.to_bytes(32, "big")
    before = lab.image.read_bytes()
    assert scalar in before

    report = redact(lab.image, target, options)

    data = target.read_bytes()
    assert len(data) == len(before)
    assert scalar not in data
    for offset, length in key.locations[0].extents:
        assert not (set(data[offset : offset + length]) - set(b"REDACTED"))
    assert {each.what for each in report.removed} >= {What.PRIVATE_KEYS, What.ENVIRONMENT}
    assert not examine(target, options).removed
    with open_dump(lab.image, symbols=[lab.symbols]) as old, open_dump(target, symbols=[lab.symbols]) as new:
        assert [(each.pid, each.name) for each in new.processes()] == [
            (each.pid, each.name) for each in old.processes()
        ]


def test_the_copy_of_an_image_with_compressed_pages_is_a_raw_image(lab: Lab, tmp_path: Path) -> None:
    options = RedactOptions(opening=OpenOptions(symbols=(lab.symbols,)))
    packed, target, plain = tmp_path / "a.kdump", tmp_path / "clean.raw", tmp_path / "plain.raw"
    memory = lab.image.read_bytes()
    packed.write_bytes(Kdump({at // BLOCK: memory[at : at + BLOCK] for at in range(0, len(memory), BLOCK)}).write())

    report = redact(packed, target, options)
    redact(lab.image, plain, options)

    assert target.read_bytes() == plain.read_bytes()
    assert any("the copy is a raw image" in note for note in report.notes)
    assert report.source.sha256 == sha256(packed.read_bytes()).hexdigest()
    assert not examine(target, options).removed

"""Images of physical memory: secrets go from each frame that they lie in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from dumpscan import PrivateKey, open_dump, search
from dumpscan.exceptions import InputError
from dumpscan.memory.formats import OpenOptions
from dumpscan.redact.run import RedactOptions, examine, redact
from dumpscan.redact.secret import What
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


def test_a_compressed_image_is_refused(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "clean.raw"
    with open_dump(lab.image, symbols=[lab.symbols]) as dump:
        dump.physical.in_file = False
        monkeypatch.setattr("dumpscan.redact.run.open_dump", lambda *_args, **_options: dump)

        with pytest.raises(InputError, match="pages are compressed"):
            redact(lab.image, target, RedactOptions())

    assert not target.exists()

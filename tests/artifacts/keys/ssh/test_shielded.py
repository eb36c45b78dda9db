"""Shielded keys of OpenSSH: memory made by hand, and the processes of the corpus."""

from __future__ import annotations

import json
import struct
from hashlib import sha512
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

import dumpscan
from dumpscan.artifacts.openssl.detectors import GROUP_DETECTORS
from dumpscan.artifacts.x509 import certificate
from dumpscan.findings import PrivateKey
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from support.artifact_samples import Space, all_keys, key_id
from support.corpus import CORES
from support.ssh_samples import private_section

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

KINDS = ("rsa1024", "rsa2048", "secp256r1", "secp384r1", "secp521r1", "ed25519")
PREKEY = b"".join(sha512(bytes([number])).digest() for number in range(256))
STRUCT, PRIVATE, PREKEY_AT = 0x560863FF1D00, 0x560863FF5010, 0x7F0000001000
AT = STRUCT + 0x68


def _memory(text: bytes, *, prekey: bytes = PREKEY, length: int | None = None) -> Space:
    secret = sha512(PREKEY).digest()
    encrypted = Cipher(AES(secret[:32]), CTR(secret[32:48])).encryptor().update(text)
    fields = struct.pack("<4Q", PRIVATE, len(text) if length is None else length, PREKEY_AT, 16384)
    return Space({STRUCT: bytes(0x68) + fields + bytes(32), PRIVATE: encrypted, PREKEY_AT: prekey})


def _padded(kind: str) -> bytes:
    text = private_section(kind)
    return text + bytes(range(1, 1 + -len(text) % 16))


def _found(memory: Space) -> list[PrivateKey]:
    collector = Collector()
    Scanner(certificate.DETECTORS, GROUP_DETECTORS).scan(memory, collector)
    return [finding for finding in collector.findings() if isinstance(finding, PrivateKey)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_shielded_key_is_found_where_its_structure_is(kind: str) -> None:
    key: PrivateKeyTypes = all_keys()[kind]
    (found,) = _found(_memory(_padded(kind)))
    assert found.key_id == key_id(key)
    assert found.proof
    (place,) = found.locations
    assert (place.virtual_address, place.length, place.encoding) == (AT, 32, "openssh-shielded")
    assert place.key_object is not None
    assert (place.key_object.library, place.key_object.structure) == ("openssh", "sshkey")


def test_what_is_not_whole_or_not_right_is_no_key() -> None:
    text = _padded("ed25519")
    assert len(_found(_memory(text))) == 1
    assert not _found(_memory(text, prekey=PREKEY[:-1]))
    assert not _found(_memory(text, prekey=bytes(len(PREKEY))))
    assert not _found(_memory(text, length=len(text) + 16))
    assert not _found(_memory(text[:-1] + b"\x63"))


@pytest.mark.parametrize("packed", sorted(CORES.glob("ssh*.core.zst")), ids=lambda path: path.name)
def test_the_keys_of_real_processes_are_found_and_nothing_else(packed: Path) -> None:
    truth = json.loads((packed.parent / f"{packed.name.split('.')[0]}.truth.json").read_text())
    expected = set() if "client" in packed.name else {key["spki_sha256"] for key in truth["keys"]}
    with dumpscan.open_dump(packed) as dump:
        collector = Collector()
        Scanner(certificate.DETECTORS, GROUP_DETECTORS).scan(dump, collector)  # type: ignore[arg-type]
    assert {finding.key_id for finding in collector.findings() if isinstance(finding, PrivateKey)} == expected  # type: ignore[attr-defined]

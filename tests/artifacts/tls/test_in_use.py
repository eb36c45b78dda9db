"""AES keys in use without an ordinary schedule: the tables of GCM that libraries keep, and schedules of vpaes."""

from __future__ import annotations

import struct
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from dumpscan.artifacts.aes.cipher import expand
from dumpscan.artifacts.tls.detector import TlsDetector
from dumpscan.artifacts.tls.in_use.vpaes import first_round_key
from dumpscan.findings import TlsSecret
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from support.artifact_samples import Space
from support.tls_samples import BASE, SUITES, Session12, Session13, expand_label, noise, prf

if TYPE_CHECKING:
    from collections.abc import Callable

    Table = Callable[[bytes], bytes]

HEAP = BASE + 0x10000
"""Where objects with secrets are put; tables are put at `BASE`."""
SECRETS = ("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0")


def _bits(block: bytes) -> list[int]:
    """Return the coefficients of a block's polynomial, that of x^0 first (SP 800-38D, 6.3)."""
    return [byte >> 7 - bit & 1 for byte in block for bit in range(8)]


def _block(bits: list[int]) -> bytes:
    return bytes(sum(bit << 7 - at for at, bit in enumerate(bits[begin : begin + 8])) for begin in range(0, 128, 8))


def _times_x(block: bytes) -> bytes:
    *others, last = _bits(block)
    bits = [0, *others]
    for power in (0, 1, 2, 7) if last else ():
        bits[power] ^= 1
    return _block(bits)


def _divided_by_x(block: bytes) -> bytes:
    """Return what times x is the block: x divides 1 + x + x^2 + x^7 + x^128 + 1."""
    bits = _bits(block)
    first = bits[0]
    for power in (1, 2, 7) if first else ():
        bits[power] ^= 1
    return _block([*bits[1:], first])


def _sum(*blocks: bytes) -> bytes:
    return bytes(reduce(xor, column) for column in zip(*blocks, strict=True))


def _multiples(block: bytes) -> list[bytes]:
    """Return the 16 multiples of a block, the coefficient of x^0 being worth 8."""
    by_weight = {8: block}
    for weight in (4, 2, 1):
        by_weight[weight] = _times_x(by_weight[2 * weight])
    return [_sum(bytes(16), *(each for weight, each in by_weight.items() if number & weight)) for number in range(16)]


def _halves(block: bytes) -> tuple[int, int]:
    high, low = struct.unpack(">QQ", block)
    return high, low


def _pclmulqdq(block: bytes) -> bytes:
    return _divided_by_x(block)[::-1] + noise(240, "powers")


def _powers_turned_round(block: bytes) -> bytes:
    return noise(240, "powers") + _divided_by_x(block)[::-1]


def _four_bits(block: bytes) -> bytes:
    return b"".join(struct.pack("<QQ", *_halves(each)) for each in _multiples(block))


def _ssse3(block: bytes) -> bytes:
    rows = zip(*(each[::-1] for each in _multiples(block)), strict=True)
    return b"".join(bytes(row) for row in rows)


def _plain_c(block: bytes) -> bytes:
    return struct.pack("<QQ", *_halves(_divided_by_x(block)))


def _nettle(block: bytes) -> bytes:
    return noise(0x80 * 16, "below") + block + noise(0x7F * 16, "above")


def _mbedtls(block: bytes) -> bytes:
    halves = [_halves(each) for each in _multiples(block)]
    return b"".join(struct.pack("<Q", half) for half in [low for _, low in halves] + [high for high, _ in halves])


TABLES = (
    _pclmulqdq,
    _powers_turned_round,
    _four_bits,
    _ssse3,
    _plain_c,
    _nettle,
    _mbedtls,
    lambda block: block,
    lambda block: block[::-1] + noise(16, "behind"),
)


def _hash_key(key: bytes) -> bytes:
    return Cipher(AES(key), ECB()).encryptor().update(bytes(16))  # noqa: S305 - the definition of H


def _found(pieces: dict[int, bytes]) -> list[TlsSecret]:
    collector = Collector()
    Scanner((), TlsDetector().detectors).scan(Space(pieces), collector)
    return [finding for finding in collector.findings() if isinstance(finding, TlsSecret)]


def _with_tables(session: Session13, table: Table) -> bytes:
    keys = (
        expand_label(session.secrets[label], session.suite.hash, "key", session.suite.key_size) for label in SECRETS
    )
    return b"".join(bytes(64) + table(_hash_key(key)) for key in keys) + bytes(64)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", ["aes-128", "aes-256"])
def test_a_table_of_gcm_alone_proves_a_secret(name: str, table: Table) -> None:
    session = Session13(SUITES[name])
    found = _found({BASE: _with_tables(session, table), HEAP: bytes(64) + session.openssl() + bytes(64)})
    proofs = {finding.label: finding.proof[0] for finding in found}
    assert {finding.secret for finding in found} >= {session.secrets[label] for label in SECRETS}
    assert {proofs[label] for label in SECRETS} == {"the GCM table of the AES key that follows from it is in use"}


@pytest.mark.parametrize("table", TABLES)
def test_the_table_of_another_key_proves_nothing(table: Table) -> None:
    session, other = Session13(SUITES["aes-128"]), Session13(SUITES["aes-128"], "another")
    assert not _found({BASE: _with_tables(other, table), HEAP: bytes(64) + session.openssl() + bytes(64)})


def test_schedules_of_random_generators_do_not_hide_tables() -> None:
    session = Session13(SUITES["aes-256"])
    keys = bytes(16) + expand(noise(32, "generator")) + bytes(16) + _with_tables(session, _ssse3)
    found = _found({BASE: keys, HEAP: bytes(64) + session.openssl() + bytes(64)})
    assert {finding.secret for finding in found} >= {session.secrets[label] for label in SECRETS}


def test_arrays_of_boringssl_are_proven_by_tables() -> None:
    session = Session13(SUITES["aes-256"])
    order = (*SECRETS[::-1], "EXPORTER_SECRET")
    arrays = b"".join(session.secrets[label].ljust(48, b"\0") + b"\x30" for label in order)
    found = _found({BASE: _with_tables(session, _ssse3), HEAP: bytes(65) + arrays + bytes(64)})
    assert {finding.secret for finding in found} == {session.secrets[label] for label in order}


@pytest.mark.parametrize("other", [False, True])
def test_a_table_proves_a_master_secret_with_its_randoms(*, other: bool) -> None:
    session = Session12()
    keyed = Session12(seed="another") if other else session
    seed = b"key expansion" + keyed.server_random + keyed.client_random
    key = prf(keyed.master, keyed.hash, seed, 16)
    pieces = {
        BASE: bytes(64) + _ssse3(_hash_key(key)) + bytes(64),
        HEAP: bytes(64) + session.openssl(),
        HEAP + 0x4000: session.randoms,
    }
    found = _found(pieces)
    assert [finding.secret for finding in found] == ([] if other else [session.master])
    assert all("GCM table" in finding.proof[0] and finding.random_proven for finding in found)


def _vpaes(key: bytes) -> bytes:
    """Return what begins as a schedule of vpaes."""
    return bytes(16) + first_round_key(key) + noise(160, "other round keys") + bytes(16)


@pytest.mark.parametrize("mac", [20, 32, 48])
def test_a_schedule_of_vpaes_proves_a_session_with_cbc(mac: int) -> None:
    session = Session12()
    seed = b"key expansion" + session.server_random + session.client_random
    key = prf(session.master, session.hash, seed, 2 * mac + 16)[-16:]
    pieces = {
        BASE: _vpaes(key),
        HEAP: bytes(64) + session.openssl(),
        HEAP + 0x4000: session.randoms,
    }
    (found,) = _found(pieces)
    assert (found.secret, found.cipher_suite) == (session.master, "AES-128-CBC with SHA256")
    assert found.proof == ("the AES key that follows from it and both randoms is in use",)


def test_the_first_round_key_of_vpaes_is_that_of_boringssl() -> None:
    """Both were read in the memory of a process with BoringSSL on a processor without instructions for AES."""
    key = bytes.fromhex("9754b68c9b008df28745202d26ecc7e5")
    assert first_round_key(key).hex() == "0ea802119e0061e743957c9cce103e68"

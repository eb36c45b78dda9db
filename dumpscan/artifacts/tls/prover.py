"""Proof of master secrets of TLS 1.2: the keys that follow from one and both randoms are in use in the same process."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

from dumpscan.artifacts.tls.derive import HASHES, MASTER_SIZE, SHA256, key_block
from dumpscan.artifacts.tls.in_use.keys import SCHEDULE
from dumpscan.artifacts.tls.sessions import CLIENT_RANDOM, VERSION_12, Secret, Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.artifacts.tls.derive import Hash
    from dumpscan.artifacts.tls.in_use.keys import KeysInUse
    from dumpscan.artifacts.tls.sessions import Randoms

MAX_BEHIND_MACS = 64
"""The nearest randoms of a master secret, for which keys behind MAC keys are computed."""
MAX_NEAR = 16
"""The nearest randoms of a master secret, for which keys without a schedule are computed."""
MAX_WITHOUT_SCHEDULE = 1_000
"""Master secrets times pairs of randoms for which they are computed in one process."""

_MAC_KEYS = (20, 32, 48)
"""Bytes of each MAC key before the keys of the ciphers: those of SHA-1, SHA-256, SHA-384."""
_WITH_VPAES = frozenset(("openssl", "boringssl"))
"""Libraries that may keep an ordinary schedule for one cipher, and another for the next."""
_SIZES = (16, 32)
_LONGEST_BLOCK = 2 * (48 + 32)
"""Bytes of the MAC keys and the keys of the longest of them."""


@dataclass(frozen=True, slots=True)
class Master:
    """48 bytes that may be a master secret.

    Attributes:
        secret: The bytes.
        address: Where they lie first.
        library: The library whose object holds them, where that is known.
        structure: Its name.
        sure: Whether what is around them says so much for it that MAC keys of all lengths are worth a try.
    """

    secret: bytes = field(repr=False)
    address: int
    library: str | None = None
    structure: str | None = None
    sure: bool = False


class Prover:
    """Proves master secrets.

    Args:
        in_use: The traffic keys of the process.
    """

    def __init__(self, in_use: KeysInUse) -> None:
        self._in_use = in_use
        self._unproven: list[tuple[Master, Randoms]] = []

    def sessions(self, master: Master, pairs: Sequence[Randoms]) -> Iterator[Session]:
        """Yield the sessions of a master secret with those of some pairs of randoms of which a key is in use.

        There are several if one resumed another. AES keys must have their schedule (see `without_schedule`).
        """
        found = False
        for session in self._without_macs(master, pairs):
            found = True
            yield session
        if master.sure and not found:
            for session in self._behind_macs(master, pairs):
                found = True
                yield session
        if master.library is not None and not found and len(self._unproven) < MAX_WITHOUT_SCHEDULE:
            self._unproven += [(master, randoms) for randoms in pairs[:MAX_NEAR]]

    def without_schedule(self) -> Iterator[Session]:
        """Yield the sessions of earlier masters, in objects of libraries, whose AES keys have no ordinary schedule."""
        explained = self._in_use.explained
        tried = [each for each in self._unproven if not explained or each[0].library in _WITH_VPAES]
        tried = tried[:MAX_WITHOUT_SCHEDULE]
        behind = (0, *_MAC_KEYS)
        for hash_, size in product(HASHES, _SIZES):
            blocks = [_block(master, randoms, hash_) for master, randoms in tried]
            starts = [2 * mac + side * size for mac in behind for side in (0, 1)]
            keys = [block[start : start + size] for block in blocks for start in starts]
            told: set[int] = set()
            for number, proof in self._in_use.without_schedule(keys):
                which, start = divmod(number, len(starts))
                if which not in told:
                    told.add(which)
                    yield _session(*tried[which], _cipher_name(size, behind[start // 2]), hash_, proof)

    def _without_macs(self, master: Master, pairs: Sequence[Randoms]) -> Iterator[Session]:
        for hash_ in HASHES:
            blocks = [key_block(master.secret, each.client, each.server, hash_, hash_.size) for each in pairs]
            for randoms, block in zip(pairs, blocks, strict=True):
                cipher = self._cipher_of(block, 0)
                if cipher is not None:
                    yield _session(master, randoms, cipher, hash_)
            for number, proof in self._in_use.chacha20(b"".join(blocks)) if hash_ is SHA256 else ():
                yield _session(master, pairs[number], "ChaCha20-Poly1305", hash_, proof)

    def _behind_macs(self, master: Master, pairs: Sequence[Randoms]) -> Iterator[Session]:
        for hash_ in HASHES:
            for randoms in pairs[:MAX_BEHIND_MACS]:
                block = _block(master, randoms, hash_)
                ciphers = (self._cipher_of(block, mac) for mac in _MAC_KEYS)
                cipher = next((each for each in ciphers if each is not None), None)
                if cipher is not None:
                    yield _session(master, randoms, cipher, hash_)

    def _cipher_of(self, block: bytes, mac: int) -> str | None:
        """Return the cipher of which one side's key is in a key block, behind two MAC keys, and has its schedule."""
        behind = block[2 * mac :]
        for size in _SIZES:
            if self._in_use.with_schedule(behind[:size]) or self._in_use.with_schedule(behind[size : 2 * size]):
                return _cipher_name(size, mac)
        return None


def _block(master: Master, randoms: Randoms, hash_: Hash) -> bytes:
    return key_block(master.secret, randoms.client, randoms.server, hash_, _LONGEST_BLOCK)


def _cipher_name(size: int, mac: int) -> str:
    """Return the name of a cipher, given the bytes of its key, and of the MAC keys before it."""
    return f"AES-{8 * size}-{'CBC' if mac else 'GCM'}"


def _session(master: Master, randoms: Randoms, cipher: str, hash_: Hash, proof: str = SCHEDULE) -> Session:
    secret = Secret(CLIENT_RANDOM, master.secret, master.address, MASTER_SIZE, (proof.format("it and both randoms"),))
    suite = f"{cipher} with {hash_.name.upper()}"
    return Session(VERSION_12, suite, (secret,), randoms, master.library, master.structure)

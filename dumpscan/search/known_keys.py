"""The search for the private keys of certificates and public keys that were found in the same dump without them."""

from __future__ import annotations

import warnings
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from cryptography.x509 import load_der_x509_certificate

from dumpscan.artifacts.keys.finding import LIBRARY_ERRORS
from dumpscan.artifacts.keys.self_test_keys import carrier_of
from dumpscan.artifacts.openssl.known.effort import PATIENCE_FOR_NAMED, Effort
from dumpscan.artifacts.openssl.known.places import find_places
from dumpscan.artifacts.openssl.known.search import find_known
from dumpscan.artifacts.x509.readers import ERRORS
from dumpscan.artifacts.x509.well_known import is_well_known
from dumpscan.findings import Certificate, PublicKey
from dumpscan.memory.regions import total_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Searchable
    from dumpscan.search.merge import Collector, Source
    from dumpscan.search.options import SearchOptions

MAX_SIZE = 512 << 20
"""Bytes of the largest process that is searched so unless the search is deep."""
MAX_KEYS = 32
"""Public keys whose private ones are looked for, unless the search is deep or the user names them."""
_WITH_NUMBERS = ("RSA", "EC", "Ed25519")
"""Algorithms whose private keys libraries hold in other forms than files."""
MAX_TRUSTED = 16
"""Well-known authorities in a process whose bare public keys are searched for; more are a store of whom it trusts."""
MAX_SIGNERS = 1
"""Certificates of authorities that are taken for a program's own; where there are more, they are whom it trusts."""


class KnownKeys:
    """The search for the private keys of one dump's certificates in forms that no library's layout tells.

    Keys of well-known authorities, which come with every browser by the hundred, count only if the search is deep, and
    so do bare public keys of a process that has many of those.

    Args:
        collector: Has what the scan found; takes what is found.
        order: The place of the dump among those that the collector gathers from.
        options: How to search.
        size: Bytes of the dump that the scan read, by which the effort is measured.
    """

    def __init__(self, collector: Collector, order: tuple[int, ...], options: SearchOptions, size: int) -> None:
        self._collector = collector
        self._order = order
        self._options = options
        patience = PATIENCE_FOR_NAMED if options.public_keys else 1
        self._effort = Effort(size, deep=options.deep, threads=options.threads, patience=patience)
        self._keys_left_out = self._keys_in_all = 0

    def search(self, space: Searchable, source: Source) -> None:
        """Look in the memory of one process for the keys whose public halves were found there, and those named.

        Args:
            space: The memory, which was scanned already.
            source: Whose findings those of the scan are, and these will be.
        """
        deep = self._options.deep
        there = self._collector.without_private(source.order, live=deep)
        found = [each for each in there if not is_well_known(each.key_id)]
        found.sort(key=lambda each: isinstance(each, PublicKey))  # certificates first
        authorities = [each for each in there if is_well_known(each.key_id)]
        in_all = len(found)
        if not deep and len(authorities) > MAX_TRUSTED:
            found = [each for each in found if not isinstance(each, PublicKey)]
        trusted = in_all - len(found)
        if not deep and sum(map(_is_authority, found)) > MAX_SIGNERS:
            found = [each for each in found if not _is_authority(each)]
        most = len(found)
        if found and not deep:  # nearly all processes have no such keys: their regions are not even listed
            most = MAX_KEYS if total_size(space.regions) <= MAX_SIZE else 0
        self._keys_in_all += len(found) + trusted
        self._keys_left_out += max(len(found) - most, 0) + trusted
        wanted = found[:most]
        bare = [] if deep else [each for each in wanted if isinstance(each, PublicKey)]
        keys = [*self._named, *_public_keys(wanted[: len(wanted) - len(bare)])]
        others = _public_keys(authorities) if deep else []
        private = _private_keys(self._collector, found) if deep else []
        if keys or others:
            self._add(source, find_known(space, keys, self._effort, authorities=others, private=private))
        if not deep:
            self._add(source, find_places(space, self._keys_in_files(source), self._effort))
        if bare:  # with the effort that is left
            self._add(source, find_known(space, _public_keys(bare), self._effort))

    def _keys_in_files(self, source: Source) -> list[tuple[PrivateKey, PrivateKeyTypes]]:
        """Return the private keys that only files hold, as found and as the library has them, but for test keys.

        Those of Ed25519 often lie without a public value; they count if something else that was found bears it.
        """
        borne = self._collector.borne()
        unproven = (each for each in self._collector.unproven(source.order) if each.key_id in borne)
        files = [
            each
            for each in (*self._collector.private_in_files(source.order), *unproven)
            if each.algorithm in _WITH_NUMBERS and carrier_of(each.key_id) is None
        ]
        loaded = ((each, _loaded(each)) for each in files[:MAX_KEYS])
        return [(each, key) for each, key in loaded if key is not None]

    def _add(self, source: Source, found: Iterable[Decoded]) -> None:
        for decoded in found:
            self._collector.add(decoded, source)

    @cached_property
    def _named(self) -> list[PublicKeyTypes]:
        """The keys that the user named, less those that the scan found in the dump, unless the search is deep."""
        found = frozenset() if self._options.deep else self._collector.private_ids(self._order)
        wanted = [info for info in self._options.public_keys if sha256(info).hexdigest() not in found]
        return [key for key in map(load_public_key, wanted) if key is not None]

    @property
    def left_out(self) -> tuple[str, ...]:
        """What was not tried, a sentence each."""
        skipped = self._effort.skipped
        if self._keys_left_out:
            keys = f"the private keys of {self._keys_left_out} of {self._keys_in_all} public keys found without them"
            skipped = [keys, *skipped]
        cheaply = "" if self._options.deep else " without --deep"
        return tuple(f"not searched for{cheaply}: {what}" for what in skipped)


def _is_authority(finding: Certificate | PublicKey) -> bool:
    return isinstance(finding, Certificate) and bool(finding.is_ca)


def _public_keys(findings: Iterable[Certificate | PublicKey]) -> list[PublicKeyTypes]:
    return [key for key in map(_public_key, findings) if key is not None]


def _public_key(finding: Certificate | PublicKey) -> PublicKeyTypes | None:
    if isinstance(finding, PublicKey):
        return load_public_key(finding.public_info)
    try:
        with warnings.catch_warnings(action="ignore"):  # the library's opinions of what others have written
            return load_der_x509_certificate(finding.der).public_key()
    except ERRORS:
        return None


def _private_keys(collector: Collector, findings: Iterable[Certificate | PublicKey]) -> list[PrivateKeyTypes]:
    """Return those private keys of some public ones that the dump was found to hold in a file's form."""
    known = (collector.private_key(each.key_id) for each in findings if each.key_id is not None)
    loaded = (_loaded(each) for each in known if each is not None and each.algorithm == "EC")
    return [key for key in loaded if key is not None]


def _loaded(key: PrivateKey) -> PrivateKeyTypes | None:
    """Return a private key as the library has it; None if it takes no such keys.

    It takes no RSA keys of more than two primes, and none on curves like secp160r1.
    """
    try:  # it was proved already; to prove it again would take minutes for the largest
        return load_der_private_key(key.pkcs8, None, unsafe_skip_rsa_key_validation=True)
    except LIBRARY_ERRORS:
        return None


def load_public_key(public_info: bytes) -> PublicKeyTypes | None:
    """Read a SubjectPublicKeyInfo; None if it is none that the library knows."""
    try:
        return load_der_public_key(public_info)
    except LIBRARY_ERRORS:
        return None

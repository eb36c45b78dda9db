"""The search for the private keys of certificates and public keys that were found in the same dump without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import load_der_x509_certificate

from dumpscan.artifacts.openssl.known import Effort, find_known
from dumpscan.artifacts.x509.readers import ERRORS
from dumpscan.findings import Certificate, PublicKey
from dumpscan.search.scanner import source_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from dumpscan.memory.dump import ProcessDump
    from dumpscan.search.merge import Collector
    from dumpscan.search.options import SearchOptions

MAX_SIZE = 128 << 20
"""Bytes of the largest dump that is searched so unless the search is deep: it takes about as long as the scan."""
MAX_KEYS = 32
"""Public keys whose private ones are looked for, unless the search is deep."""


def search_known_keys(dump: ProcessDump, collector: Collector, order: tuple[int, ...], options: SearchOptions) -> None:
    """Look for the private keys of a process dump's certificates in forms that no library's layout tells.

    Certificates of authorities, which come with every browser by the hundred, count only if the search is deep.

    Args:
        dump: The dump, which was scanned already.
        collector: Has what the scan found; takes what is found.
        order: The place of this dump among those that the collector gathers from.
        options: How to search.
    """
    keys = [key for key in map(load_public_key, options.public_keys) if key is not None]
    if dump.searchable_bytes <= MAX_SIZE or options.deep:
        keys += _found(collector, order, options)
    if keys:
        source = source_of(dump, order)
        for decoded in find_known(dump, keys, Effort(deep=options.deep, threads=options.threads)):
            collector.add(decoded, source)


def _found(collector: Collector, order: tuple[int, ...], options: SearchOptions) -> list[PublicKeyTypes]:
    """Return the public keys found in the dump whose private ones are to be looked for."""
    wanted = [
        finding
        for finding in collector.without_private(order, live=options.deep)
        if options.deep or isinstance(finding, PublicKey) or not finding.is_ca
    ]
    if not options.deep:
        wanted = wanted[:MAX_KEYS]
    return [key for key in map(_public_key, wanted) if key is not None]


def _public_key(finding: Certificate | PublicKey) -> PublicKeyTypes | None:
    if isinstance(finding, PublicKey):
        return load_public_key(finding.public_info)
    try:
        return load_der_x509_certificate(finding.der).public_key()
    except ERRORS:
        return None


def load_public_key(public_info: bytes) -> PublicKeyTypes | None:
    """Read a SubjectPublicKeyInfo; None if it is none that the library knows."""
    try:
        return load_der_public_key(public_info)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None

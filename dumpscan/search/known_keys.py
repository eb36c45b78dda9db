"""The search for the private keys of certificates and public keys that were found in the same dump without them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from cryptography.x509 import load_der_x509_certificate

from dumpscan.artifacts.openssl.known.effort import PATIENCE_FOR_NAMED, Effort
from dumpscan.artifacts.openssl.known.search import find_known
from dumpscan.artifacts.x509.readers import ERRORS
from dumpscan.artifacts.x509.well_known import is_well_known
from dumpscan.findings import Certificate, PublicKey
from dumpscan.search.scanner import source_of
from dumpscan.search.zeros import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

    from dumpscan.memory.dump import ProcessDump
    from dumpscan.memory.space import Region
    from dumpscan.search.merge import Collector
    from dumpscan.search.options import SearchOptions

MAX_SIZE = 512 << 20
"""Bytes of the largest dump that is searched so unless the search is deep."""
MAX_KEYS = 32
"""Public keys whose private ones are looked for, unless the search is deep or the user names them."""
MAX_SIGNERS = 1
"""Certificates of authorities that are taken for a program's own; where there are more, they are whom it trusts."""


def search_known_keys(
    dump: ProcessDump,
    regions: Sequence[Region],
    collector: Collector,
    order: tuple[int, ...],
    options: SearchOptions,
) -> tuple[str, ...]:
    """Look for the private keys of a process dump's certificates in forms that no library's layout tells.

    Keys of well-known authorities, which come with every browser by the hundred, count only if the search is deep.

    Args:
        dump: The dump, which was scanned already.
        regions: Where to look in it.
        collector: Has what the scan found; takes what is found.
        order: The place of this dump among those that the collector gathers from.
        options: How to search.

    Returns:
        What was not tried, a sentence each.
    """
    there = collector.without_private(order, live=options.deep)
    found = list({each.key_id: each for each in there if not is_well_known(each.key_id)}.values())
    found.sort(key=lambda each: isinstance(each, PublicKey))  # certificates first
    authorities = [each for each in there if is_well_known(each.key_id)] if options.deep else []
    if not options.deep and sum(map(_is_authority, found)) > MAX_SIGNERS:
        found = [each for each in found if not _is_authority(each)]
    skipped: list[str] = []
    most = len(found) if options.deep else MAX_KEYS if sum(region.size for region in regions) <= MAX_SIZE else 0
    if len(found) > most:
        skipped.append(f"the private keys of {len(found) - most} of {len(found)} public keys found without them")
    named = [key for key in map(load_public_key, options.public_keys) if key is not None]
    keys = [*named, *_public_keys(found[:most])]
    others = _public_keys(authorities)
    if keys or others:
        effort = Effort(deep=options.deep, threads=options.threads, patience=PATIENCE_FOR_NAMED if named else 1)
        source = source_of(dump, order)
        private = _private_keys(collector, found) if options.deep else []
        for decoded in find_known(Part(dump, dump.buffer, regions), keys, effort, authorities=others, private=private):
            collector.add(decoded, source)
        skipped += effort.skipped
    return tuple(f"not searched for without --deep: {what}" for what in skipped)


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
    return [load_der_private_key(each.pkcs8, None) for each in known if each is not None and each.algorithm == "EC"]


def load_public_key(public_info: bytes) -> PublicKeyTypes | None:
    """Read a SubjectPublicKeyInfo; None if it is none that the library knows."""
    try:
        return load_der_public_key(public_info)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None

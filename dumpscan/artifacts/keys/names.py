"""Names of keys' algorithms for people: the same in tables, reports, answers and the gate's reasons."""

from __future__ import annotations

NIST_CURVES = {
    "secp192r1": "P-192",
    "prime192v1": "P-192",
    "secp224r1": "P-224",
    "secp256r1": "P-256",
    "prime256v1": "P-256",
    "secp384r1": "P-384",
    "secp521r1": "P-521",
}
"""Curves by the names of SEC 2 and X9.62, and as everybody calls them (FIPS 186-5 and SP 800-186)."""


def algorithm_label(name: str | None, size: object) -> str:
    """Return `RSA 2048`, `EC P-256`; a name that says it all (`Ed25519`) stands alone.

    Args:
        name: The algorithm's name.
        size: The name of its curve, or its bits.
    """
    if name is None:
        return ""
    if size is None or any(character.isdigit() for character in name):
        return name
    return f"{name} {NIST_CURVES.get(str(size), size)}"

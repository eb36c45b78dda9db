"""ML-DSA and ML-KEM private keys in PKCS#8: the seed, the expanded key, or both.

Sources: RFC 9881 (ML-DSA), RFC 9935 (ML-KEM). Programs older than these wrote the key without the CHOICE, and Open
Quantum Safe's provider wrote the expanded key with the public key behind it; OpenSSL still does, if it is asked to
(`bare-seed`, `bare-priv` and `oqskeypair` in its EVP_PKEY-ML-DSA manual page).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys import encode as key_encode
from dumpscan.artifacts.keys.algorithms import ml_dsa, ml_kem
from dumpscan.artifacts.keys.randomness import looks_random

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.findings import PrivateKey

    ParameterSet = ml_dsa.ParameterSet | ml_kem.ParameterSet

_SEED = 0x80


def read_key(
    parameters: ParameterSet,
    identifier: bytes,
    others: list[der.Element],
    private: bytes,
    public: bytes | None,
) -> PrivateKey:
    """Prove a key by whatever is stored beside its seed. A seed alone has nothing to check; its `proof` is empty.

    Args:
        parameters: The parameter set.
        identifier: Its object identifier, encoded.
        others: What follows that in the AlgorithmIdentifier: nothing, in a key.
        private: Content of the private key's OCTET STRING.
        public: The public key, where it was stored.

    Raises:
        RefusedError: It is no such key, its parts do not belong together, or a seed alone does not look random.
    """
    if others:
        raise RefusedError("parameters that the algorithm does not have")
    seed, expanded, behind = _parts(parameters, private)
    proof: list[str] = []
    if not expanded and not public and not looks_random(seed):
        raise RefusedError("nothing vouches for the seed, and it is not random")
    if seed:
        content = key_encode.tlv(_SEED, seed)
        made, derived = parameters.expand(seed)
        if expanded:
            if expanded != made:
                raise RefusedError("the expanded key is not that of the seed")
            proof.append("the expanded key is that of the seed")
    else:
        content = key_encode.tlv(der.OCTET_STRING, expanded)
        derived = parameters.check(expanded)
        proof += parameters.relations
    stored = [value for value in (public, behind) if value]
    if any(value != derived for value in stored):
        raise RefusedError("the public key is not that of the private one")
    proof += ["public key = that of the private key"] if stored else []
    algorithm = key_encode.algorithm(identifier)
    return key_encode.private_key(
        parameters.name,
        8 * parameters.public_size,
        key_encode.public_info(algorithm, derived),
        key_encode.pkcs8(algorithm, content),
        proof=tuple(proof),
    )


def _parts(parameters: ParameterSet, private: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the seed, the expanded key and the public key behind it, each empty where it is not there."""
    size = len(private)
    if size == parameters.seed_size:
        return private, b"", b""
    if size == parameters.expanded_size:
        return b"", private, b""
    if size == parameters.expanded_size + parameters.public_size:
        return b"", private[: parameters.expanded_size], private[parameters.expanded_size :]
    seed, expanded = _choice(private)
    if (len(seed), len(expanded)) not in {
        (parameters.seed_size, 0),
        (0, parameters.expanded_size),
        (parameters.seed_size, parameters.expanded_size),
    }:
        raise RefusedError("a seed or an expanded key of the wrong size")
    return seed, expanded, b""


def _choice(private: bytes) -> tuple[bytes, bytes]:
    """Return the seed and the expanded key, as far as the CHOICE of the RFCs holds them."""
    elements = der.elements(private)
    if len(elements) != 1:
        raise RefusedError("not one key")
    if elements[0].tag == _SEED:
        return elements[0].content, b""
    if elements[0].tag == der.OCTET_STRING:
        return b"", elements[0].content
    seed, expanded = der.members(private, least=2, most=2)
    if (seed.tag, expanded.tag) != (der.OCTET_STRING, der.OCTET_STRING) or not (seed.content and expanded.content):
        raise RefusedError("neither seed nor expanded key")
    return seed.content, expanded.content


_PARAMETER_SETS: dict[bytes, ParameterSet] = {
    bytes.fromhex("0609608648016503040311"): ml_dsa.ML_DSA_44,
    bytes.fromhex("0609608648016503040312"): ml_dsa.ML_DSA_65,
    bytes.fromhex("0609608648016503040313"): ml_dsa.ML_DSA_87,
    bytes.fromhex("0609608648016503040401"): ml_kem.ML_KEM_512,
    bytes.fromhex("0609608648016503040402"): ml_kem.ML_KEM_768,
    bytes.fromhex("0609608648016503040403"): ml_kem.ML_KEM_1024,
}
PKCS8_ALGORITHMS: dict[bytes, Callable[[list[der.Element], bytes, bytes | None], PrivateKey]] = {
    identifier: partial(read_key, parameters, identifier) for identifier, parameters in _PARAMETER_SETS.items()
}
"""By the encoded object identifier."""
PKCS8_OPENINGS = {
    f"{name}-{size}": f"{outer} 02 01 00|01 30 0b 06 09 60 86 48 01 65 03 04 {numbers} 04"
    for name, numbers in (("ml-dsa", "03 11-13"), ("ml-kem", "04 01-03"))
    for size, outer in (("short", "30 20-7f"), ("middle", "30 81 .."), ("long", "30 82 .. .."))
}

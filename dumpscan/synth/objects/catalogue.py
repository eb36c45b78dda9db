"""Objects to plant in a synthetic dump, with the truth about each.

The same specification and seed give the same bytes.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha1, sha256
from typing import TYPE_CHECKING, Any

from dumpscan.artifacts.aes.cipher import expand
from dumpscan.artifacts.symcrypt.aes import SCHEDULE_ENCODING
from dumpscan.artifacts.symcrypt.rsa import ENCODING as SYMCRYPT
from dumpscan.exceptions import ScenarioError
from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey, PublicKey, SymmetricKey
from dumpscan.synth.objects import containers, library_keys
from dumpscan.synth.objects.carriers import carry
from dumpscan.synth.objects.certificates import certificate_der, key_of, parse_name
from dumpscan.synth.objects.decoys import DECOYS, GARBLED
from dumpscan.synth.objects.keys import make_symmetric_key, symmetric_key_id
from dumpscan.synth.objects.pem import pem, pem_to_utf16
from dumpscan.synth.objects.planted import DECOY, PlantedObject
from dumpscan.synth.objects.private_keys.writers import WRITERS, write_key
from dumpscan.synth.objects.symcrypt.keys import BUILDS, garbled, make_aes, make_symcrypt

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.synth.objects.keys import KeyPair
    from dumpscan.synth.objects.spec import ObjectSpec

_CERTIFICATES: dict[str, Callable[[bytes], bytes]] = {
    "der": bytes,
    "pem": lambda der: pem("CERTIFICATE", der),
    "pem-utf16": lambda der: pem_to_utf16(pem("CERTIFICATE", der)),
}

ENCODINGS = {
    Certificate.kind: tuple(_CERTIFICATES),
    PrivateKey.kind: (*WRITERS, *BUILDS, *library_keys.ENCODINGS),
    PublicKey.kind: tuple(BUILDS),
    SymmetricKey.kind: (*BUILDS, SCHEDULE_ENCODING),
    EncryptedContainer.kind: tuple(containers.CONTAINERS),
    DECOY: (*DECOYS, *GARBLED),
}
"""The encodings of each kind of object, the default first. Those of a decoy are flaws."""


def make(spec: ObjectSpec, seed: str) -> PlantedObject:
    """Return the object determined by `spec` and `seed`.

    Raises:
        ScenarioError: If there is no such kind, algorithm or encoding, the encoding cannot hold the key, a name is
            malformed, or the key cannot sign.
    """
    known = ENCODINGS.get(spec.kind)
    if known is None:
        raise ScenarioError(f"unknown kind {spec.kind!r}; expected one of {', '.join(ENCODINGS)}")
    encoding = spec.encoding or known[0]
    if encoding not in known:
        raise ScenarioError(f"unknown encoding {encoding!r} of a {spec.kind}; expected one of {', '.join(known)}")
    made = _MAKERS[spec.kind](replace(spec, encoding=encoding), seed)
    if not spec.carriers:
        return made
    if made.library is not None:
        raise ScenarioError(f"an object with encoding {encoding!r} has no carriers: its bytes depend on its address")
    way = "+".join((*reversed(spec.carriers), made.encoding))
    return replace(made, data=carry(made.data, spec.carriers), encoding=way)


def _facts(key: KeyPair) -> dict[str, Any]:
    """Return the facts about a key that every finding with it gives."""
    return {"algorithm": key.algorithm, "bits": key.bits, "curve": key.curve, "key_id": key.key_id}


def _certificate_facts(der: bytes) -> dict[str, Any]:
    """Return what identifies a certificate in a finding."""
    thumbprint = sha1(der).hexdigest().upper()  # noqa: S324 -- a thumbprint is SHA-1 by definition
    return {"der_sha256": sha256(der).hexdigest(), "thumbprint": thumbprint}


def _certificate(spec: ObjectSpec, seed: str) -> PlantedObject:
    der = certificate_der(spec, seed)
    return PlantedObject(
        kind=spec.kind,
        encoding=spec.encoding,
        data=_CERTIFICATES[spec.encoding](der),
        **_facts(key_of(spec, seed)),
        der=der,
        **_certificate_facts(der),
        subject=parse_name(spec.subject).rfc4514_string(),
        issuer=parse_name((spec.issuer or spec).subject).rfc4514_string(),
    )


def _key(spec: ObjectSpec, seed: str) -> PlantedObject:
    """Make a private or public key."""
    key = key_of(spec, seed)
    if spec.encoding in WRITERS:
        data = write_key(key, spec.encoding)
        return PlantedObject(kind=spec.kind, encoding=WRITERS[spec.encoding].encoding, data=data, **_facts(key))
    if spec.encoding in library_keys.ENCODINGS:
        held = library_keys.make_library_key(key, spec.encoding)
        named: dict[str, Any] = {"key_library": held.library, "structure": held.structure}
        return PlantedObject(kind=spec.kind, encoding=spec.encoding, library=held, **_facts(key), **named)
    public_only = spec.kind == PublicKey.kind
    library = make_symcrypt(key, spec.encoding, public_only=public_only, wrapped=spec.wrapped, seed=seed)
    return PlantedObject(
        kind=spec.kind,
        encoding=SYMCRYPT,
        library=library,
        **_facts(key),
        layout=library.abi.layout,
        architecture=library.abi.architecture,
    )


def _symmetric_key(spec: ObjectSpec, seed: str) -> PlantedObject:
    key = make_symmetric_key(spec.algorithm, f"{seed}/{spec.key}")
    facts: dict[str, Any] = {"algorithm": "AES", "bits": len(key) * 8, "key_id": symmetric_key_id("AES", key)}
    if spec.encoding == SCHEDULE_ENCODING:
        return PlantedObject(kind=spec.kind, encoding=SCHEDULE_ENCODING, data=expand(key), **facts)
    library = make_aes(key, spec.encoding)
    # The layout never changed and is the same on x64 and ARM64, so a finding can name no architecture but x86.
    if library.abi.pointer_size == 4:  # noqa: PLR2004 -- bytes
        facts["architecture"] = library.abi.architecture
    return PlantedObject(kind=spec.kind, encoding=SYMCRYPT, library=library, **facts)


def _container(spec: ObjectSpec, seed: str) -> PlantedObject:
    container = containers.CONTAINERS[spec.encoding]
    pkcs8 = write_key(key_of(spec, seed), "pkcs8")
    certificate = certificate_der(spec, seed) if container.has_certificate else b""
    label = f"{seed}/{spec.key}/{spec.algorithm}"
    return PlantedObject(
        kind=spec.kind,
        encoding=container.encoding,
        data=container.write(containers.Contents(pkcs8, certificate, spec.key), spec.password, label),
        container=container.name,
        kdf=container.kdf,
        cipher=container.cipher,
        iterations=container.iterations,
        **(_certificate_facts(certificate) if container.open_certificate else {}),
    )


def _decoy(spec: ObjectSpec, seed: str) -> PlantedObject:
    if spec.encoding in DECOYS:
        return PlantedObject(kind=spec.kind, encoding=spec.encoding, data=DECOYS[spec.encoding](spec, seed))
    made = make_symcrypt(key_of(spec, seed), GARBLED[spec.encoding], wrapped=spec.wrapped, seed=seed)
    return PlantedObject(kind=spec.kind, encoding=spec.encoding, library=garbled(made, f"{seed}/{spec.key}"))


_MAKERS: dict[str, Callable[[ObjectSpec, str], PlantedObject]] = {
    Certificate.kind: _certificate,
    PrivateKey.kind: _key,
    PublicKey.kind: _key,
    SymmetricKey.kind: _symmetric_key,
    EncryptedContainer.kind: _container,
    DECOY: _decoy,
}

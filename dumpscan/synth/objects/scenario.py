"""The objects of a scenario.

[keys]
site = "rsa-2048"                   # name = algorithm

[objects.site-certificate]
kind = "certificate"                # one of catalogue.ENCODINGS
key = "site"
subject = "CN=www.contoso.example"
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from dumpscan.findings import Certificate, EncryptedContainer, SymmetricKey
from dumpscan.synth.objects.carriers import CARRIERS
from dumpscan.synth.objects.catalogue import ENCODINGS
from dumpscan.synth.objects.keys import ALGORITHMS, SYMMETRIC
from dumpscan.synth.objects.planted import DECOY
from dumpscan.synth.objects.spec import ObjectSpec
from dumpscan.synth.objects.symcrypt.keys import BUILDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.synth.toml_table import Table

_MAX_CHAIN = 32
_WITH_CERTIFICATE = ("pkcs12", "jks", "truncated-certificate", "garbled-certificate")
"""Encodings and flaws of other kinds of objects that need the fields of a certificate."""


def parse_objects(keys: Table, objects: Table) -> dict[str, ObjectSpec]:
    """Read `[keys]` and `[objects.*]` and return the specifications by name, each with that of its issuer.

    Raises:
        ScenarioError: If a value is malformed, an issuer is unknown, or issuers form a circle.
    """
    algorithms = {name: keys.choice(name, (*ALGORITHMS, *SYMMETRIC)) for name in keys.names()}
    tables = {name: objects.table(name) for name in objects.names()}
    parsed: dict[str, ObjectSpec] = {}

    def parse(name: str, path: tuple[str, ...]) -> ObjectSpec:
        if name not in parsed:
            parsed[name] = tables[name].read(
                lambda table: _parse_object(table, algorithms, lambda issuer: resolve(name, issuer, path))
            )
        return parsed[name]

    def resolve(name: str, issuer: str, path: tuple[str, ...]) -> ObjectSpec:
        error, expected = partial(tables[name].error, "issuer"), "expected the name of a certificate"
        if issuer not in tables:
            raise error(f"there is no object {issuer!r}; {expected}")
        if len(path) > _MAX_CHAIN:
            raise error(f"the chain is longer than {_MAX_CHAIN} certificates")
        if issuer in (name, *path):
            raise error(f"{issuer!r} is signed by itself in the end; leave issuer out for a self-signed certificate")
        spec = parse(issuer, (*path, name))
        if spec.kind != Certificate.kind:
            raise error(f"{issuer!r} is a {spec.kind}; {expected}")
        return spec

    for name in tables:
        parse(name, ())
    return parsed


def _parse_object(table: Table, algorithms: dict[str, str], resolve: Callable[[str], ObjectSpec]) -> ObjectSpec:
    kind = table.choice("kind", ENCODINGS)
    symmetric = kind == SymmetricKey.kind
    key = table.choice("key", [name for name, algorithm in algorithms.items() if (algorithm in SYMMETRIC) == symmetric])
    known = ENCODINGS[kind]
    encoding = table.choice("flaw", known) if kind == DECOY else table.choice("encoding", known, known[0])
    carriers = table.texts("carriers")
    for carrier in carriers:
        if carrier not in CARRIERS:
            raise table.error("carriers", f"{carrier!r}: expected one of {', '.join(CARRIERS)}")
    spec = ObjectSpec(kind=kind, algorithm=algorithms[key], key=key, encoding=encoding, carriers=carriers)
    if encoding.endswith(tuple(BUILDS)) and not symmetric:
        spec = replace(spec, wrapped=table.flag("wrapped"))
    if kind == EncryptedContainer.kind:
        spec = replace(spec, password=table.text("password", spec.password))
    if kind == Certificate.kind or encoding in _WITH_CERTIFICATE:
        issuer = table.text("issuer", None)
        spec = replace(
            spec,
            subject=table.text("subject"),
            issuer=None if issuer is None else resolve(issuer),
            version=table.integer("version", spec.version, minimum=1, maximum=3),
            serial=table.integer("serial", None, minimum=-(1 << 63), maximum=(1 << 160) - 1),
            not_before=table.moment("not_before", spec.not_before),
            not_after=table.moment("not_after", spec.not_after),
            alternative_names=table.texts("alternative_names"),
            ca=table.flag("ca"),
        )
    return spec

"""Which values the document of a dataclass has: one for each of its fields, but for a small table of exceptions.

The JSON records, the columns of CSV and the JSON Schema all follow from `members`. A new field of a finding therefore
needs nothing here: it appears under its own name. `FORMS` lists what differs: where the Elastic Common Schema (ECS) has
a name of its own, and values that are computed. A field with `repr=False` (key material, raw bytes) is in no document.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from dumpscan.artifacts.keys.self_test_keys import carrier_of
from dumpscan.artifacts.x509.well_known import is_well_known
from dumpscan.findings import (
    Certificate,
    EncryptedContainer,
    Finding,
    InputStatus,
    KeyObject,
    Location,
    PrivateKey,
    Process,
    PublicKey,
    Status,
    SymmetricKey,
    TlsSecret,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from _typeshed import DataclassInstance

_LONG_BITS = 64
"""Bits of ECS's type `long`, with its sign."""


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One value of a document.

    Attributes:
        name: Where it stands, dotted: `x509.subject.distinguished_name`.
        read: Returns it from the dataclass's instance; None if it is left out.
        hint: Its type; None stands for the type of `field`.
        field: The dataclass's field that it shows; None if it is computed from several.
        path: The parts of `name`.
    """

    name: str
    read: Callable[[Any], object]
    hint: Any = None
    field: str | None = None
    path: tuple[str, ...] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", tuple(self.name.split(".")))


@dataclasses.dataclass(frozen=True, slots=True)
class Form:
    """How the document of a dataclass differs from its fields.

    Attributes:
        group: Where its fields stand, e.g. `x509`; empty for the document itself.
        names: Fields that stand elsewhere, by their dotted name.
        instead: Members that a field is replaced by, or that follow it.
        more: Members that come after all fields.
    """

    group: str = ""
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    instead: Mapping[str, tuple[Member, ...]] = dataclasses.field(default_factory=dict)
    more: tuple[Member, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Extent:
    """A stretch of a dump's file."""

    file_offset: int
    length: int


@dataclasses.dataclass(frozen=True, slots=True)
class Region:
    """A region of memory; `address` is its start in hex."""

    start: int
    address: str
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class Owner:
    """The process of a place, in short; the records of kind `process` have the rest.

    Attributes:
        unlisted: Whether the kernel's list of processes does not have it; absent otherwise.
    """

    pid: int | None
    name: str | None
    unlisted: bool | None


def _own(name: str) -> Member:
    """Return the member of a field that stands under the field's own name."""
    return Member(name, lambda source: getattr(source, name), field=name)


def _common_name(field: str, name: str) -> tuple[Member]:
    """ECS has a list of common names; an unknown one is an empty list."""

    def read(certificate: Certificate) -> list[str]:
        value = getattr(certificate, field)
        return [] if value is None else [value]

    return (Member(name, read, list[str], field),)


def _long(field: str, name: str) -> tuple[Member]:
    """Leave out a number that an input chose and that does not fit ECS's `long`."""

    def read(finding: Finding) -> int | None:
        number = getattr(finding, field)
        return number if isinstance(number, int) and number.bit_length() < _LONG_BITS else None

    return (Member(name, read, field=field),)


def _address(location: Location) -> str | None:
    return None if location.virtual_address is None else hex(location.virtual_address)


def _region(location: Location) -> Region | None:
    return None if location.region is None else Region(location.region[0], hex(location.region[0]), location.region[1])


def _owner(location: Location) -> Owner | None:
    process = location.process
    return None if process is None else Owner(process.pid, process.name, process.unlisted)


def _status(status: InputStatus) -> str:
    """A file that is no dump, or was not finished, has never had words of its own in JSON."""
    own = {Status.OK, Status.DAMAGED, Status.NO_SYMBOLS}
    return (status.status if status.status in own else Status.UNREADABLE).value


_ENCODINGS = (Member("key.encodings", lambda key: key.encodings, tuple[str, ...]),)
_LIVE = (Member("key.live_in", lambda key: key.live_in or None, tuple[str, ...] | None),)
"""Left out of keys that lie in memory only as files and messages write them."""
_WELL_KNOWN = (Member("key.well_known", lambda key: carrier_of(key.key_id), str | None),)
"""Left out of keys that are no test keys of programs."""
_KEY = Form("key", {"key_id": "key.id", "certificates": "certificates"}, more=(*_ENCODINGS, *_LIVE, *_WELL_KNOWN))

FORMS: dict[type, Form] = {
    Finding: Form(instead={"location_count": (Member("location_count", lambda found: found.place_count, int),)}),
    Certificate: Form(
        "x509",
        {
            **{name: name for name in ("thumbprint", "key_id", "problem", "private_keys")},
            "version": "x509.version_number",
            "subject": "x509.subject.distinguished_name",
            "issuer": "x509.issuer.distinguished_name",
        },
        {
            "subject_common_name": _common_name("subject_common_name", "x509.subject.common_name"),
            "issuer_common_name": _common_name("issuer_common_name", "x509.issuer.common_name"),
            "public_key_exponent": _long("public_key_exponent", "x509.public_key_exponent"),
        },
        (
            Member("file.hash.sha256", lambda certificate: certificate.sha256, str),
            Member("file.hash.sha1", lambda certificate: certificate.thumbprint.lower(), str),
            Member("well_known_ca", lambda certificate: is_well_known(certificate.key_id), bool),
        ),
    ),
    PrivateKey: _KEY,
    PublicKey: _KEY,
    SymmetricKey: Form("key", {"key_id": "key.id"}, more=_ENCODINGS),
    TlsSecret: Form("tls", {"secret_id": "tls.id"}),
    EncryptedContainer: Form(
        "container",
        {"container": "container.type"},
        {"iterations": _long("iterations", "container.iterations")},
    ),
    Location: Form(
        names={
            "page_owner": "page.owner",
            **{f"page_{name}": f"page.file.{name}" for name in ("path", "offset", "inode", "filesystem")},
        },
        instead={
            "file": (_own("file"), Member("file_offset", lambda place: place.file_offset, int | None)),
            "extents": (
                Member("extents", lambda place: [Extent(*each) for each in place.extents], list[Extent], "extents"),
            ),
            "virtual_address": (_own("virtual_address"), Member("address", _address, str | None)),
            "region": (Member("region", _region, Region | None, "region"),),
            "process": (Member("process", _owner, Owner | None, "process"),),
        },
    ),
    KeyObject: Form(
        instead={
            "parameters": (Member("parameters", lambda held: dict(held.parameters), dict[str, str], "parameters"),)
        },
        more=(Member("consistent", lambda held: held.consistent, bool),),
    ),
    Process: Form(
        names={
            "parent_pid": "parent.pid",
            "created": "start",
            "exited": "end",
            "environment": "env_vars",
            "arguments": "args",
            "user_id": "user.id",
        },
    ),
    InputStatus: Form(
        instead={"status": (Member("status", _status, Literal["ok", "damaged", "no-symbols", "unreadable"], "status"),)}
    ),
}
"""The exceptions, by the class that declares the fields."""

_NO_FORM = Form()


@cache
def members(cls: type[DataclassInstance]) -> tuple[Member, ...]:
    """Return the values of a dataclass's documents in their order; a finding's locations, which are long, come last."""
    found = [member for each in dataclasses.fields(cls) for member in _members(cls, each)]
    found += FORMS.get(cls, _NO_FORM).more
    return tuple(sorted(found, key=lambda member: member.name == "locations"))


def hints(cls: type[DataclassInstance]) -> dict[str, Any]:
    """Return the type of each value of a dataclass's documents, by its dotted name and in their order.

    Raises:
        NameError: An annotation of the class is importable only while types are checked.
    """
    declared = typing.get_type_hints(cls)
    return {
        member.name: declared[member.field] if member.hint is None and member.field else member.hint
        for member in members(cls)
    }


def required(hint: Any) -> tuple[Any, bool]:  # noqa: ANN401 - any annotation
    """Return a type without its None, and whether there is always a value."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    known = [kind for kind in kinds if kind is not type(None)]
    return known[0], len(known) == len(kinds)


def element(hint: Any) -> Any:  # noqa: ANN401 - any annotation
    """Return the type of a list's elements; None if the type is no list."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) in {list, tuple} else None


def is_document(hint: Any) -> TypeGuard[type[DataclassInstance]]:  # noqa: ANN401 - any annotation
    """Return whether values of a type are documents themselves."""
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _members(cls: type[DataclassInstance], field: dataclasses.Field[Any]) -> Iterator[Member]:
    declaring = next(base for base in cls.__mro__ if field.name in inspect.get_annotations(base))
    form = FORMS.get(declaring, _NO_FORM)
    if field.name in form.instead:
        yield from form.instead[field.name]
    elif field.repr:
        own = f"{form.group}.{field.name}" if form.group else field.name
        yield dataclasses.replace(_own(field.name), name=form.names.get(field.name, own))

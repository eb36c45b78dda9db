"""Certificates and keys as tables, the most urgent first: secret keys, what may hold some, what is public."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text

from dumpscan.findings import Validity, validity
from dumpscan.output.formats.table.columns import Column, say
from dumpscan.output.formats.table.sections import Scope, Section, process_name, title

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dumpscan.output.records import Record

CONTAINER_NAMES = {"pkcs8": "PKCS#8", "pkcs12": "PKCS#12", "pem": "PEM", "openssh": "OpenSSH"}
"""Names of the encrypted containers, for eyes."""

_UNPROVEN = "unproven_key"
_ORDER = ("private_key", "symmetric_key", "encrypted_container", _UNPROVEN, "certificate", "public_key")
_HASH = 12
"""Hexadecimal digits of a hash that are enough to tell it from others in one dump."""


def sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield the tables of a scan's findings; a kind without findings has none."""
    kinds: dict[str, list[Record]] = {kind: [] for kind in _ORDER}
    for record in records:
        kinds.setdefault(_UNPROVEN if is_unproven(record) else record["kind"], []).append(record)
    for kind, found in kinds.items():
        if found:
            yield _section(kind, found, scope)


def is_unproven(record: Record) -> bool:
    """Say whether a record is of a private key that nothing speaks for."""
    return record["kind"] == "private_key" and not record["key"]["proof"]


def _section(kind: str, found: list[Record], scope: Scope) -> Section:
    match kind:
        case "private_key":
            heading = _title("Private keys", found, _paired(found), style="bold red")
            return _asymmetric_keys(heading, "Opens", found, scope)
        case "unproven_key":
            heading = _title("Unproven keys", found, "nothing was found to check them against", style="bold yellow")
            return _asymmetric_keys(heading, "Opens", found, scope)
        case "symmetric_key":
            return _symmetric_keys(found, scope)
        case "encrypted_container":
            return _containers(found, scope)
        case "certificate":
            return _certificates(found, scope)
        case "public_key":
            return _asymmetric_keys(_title("Public keys", found, _paired(found)), "Bound by", found, scope)
        case _:
            return Section(_title(kind, found), (*_places(scope), _size(), _sha256()), found)


def _asymmetric_keys(heading: Text, bond: str, keys: list[Record], scope: Scope) -> Section:
    """Return the table of private or public keys; `bond` is what a certificate is to them."""
    ordered = sorted(keys, key=lambda record: (not record["certificates"], _address_order(record)))
    columns = (
        Column("Key", _key),
        *bound_columns(bond, scope),
        *_places(scope),
        *_object_columns(),
        _key_id(),
        Column("Thumbprint", _thumbprint, rank=4, short=_HASH),
        _proof(),
    )
    return Section(heading, columns, ordered)


def bound_columns(heading: str, scope: Scope) -> tuple[Column, ...]:
    """Return the columns that say which certificate a key belongs to; the first of several counts."""

    def until(record: Record) -> Text:
        bound = record.get("certificates", ())
        return _valid_until(bound[0], scope.now) if bound else Text()

    return (Column(heading, _bound, least=24), Column("Valid until", until, rank=1, least=10))


def _bound(record: Record) -> Text:
    bound = record.get("certificates")
    if bound is None:  # a kind of key that certificates know nothing of
        return Text()
    if not bound:
        return say("no certificate found", "dim")
    return _and_more(say(bound[0].get("common_name") or bound[0]["subject"], "bold"), len(bound))


def _thumbprint(record: Record) -> Text:
    bound = record.get("certificates", ())
    return say(bound[0]["thumbprint"]) if bound else Text()


def _object_columns() -> tuple[Column, ...]:
    """Return the columns that say what a library's own key object says; they vanish where there is none."""

    def first(name: str) -> Callable[[Record], Text]:
        def cell(record: Record) -> Text:
            value = record["locations"][0].get("key_object", {}).get(name) if record["locations"] else None
            shown = ", ".join(value) if isinstance(value, list) else hex(value) if isinstance(value, int) else value
            return say(shown)

        return cell

    return (
        Column("Layout", first("layout"), rank=2),
        Column("Wrapper", first("wrapper"), rank=4),
        Column("Missing", first("missing_parts"), rank=1, least=12),
        Column("Disagrees", first("wrong_parts"), rank=1, least=12),
    )


def _symmetric_keys(keys: list[Record], scope: Scope) -> Section:
    columns = (Column("Key", _key), *_places(scope), *_object_columns(), _key_id(), _proof())
    return Section(_title("Symmetric keys", keys, style="bold red"), columns, sorted(keys, key=_address_order))


def _paired(keys: list[Record]) -> str:
    paired = sum(1 for record in keys if record.get("certificates"))
    return f"{paired or 'none'} with a certificate"


def _containers(containers: list[Record], scope: Scope) -> Section:
    def protection(record: Record) -> Text:
        container = record["container"]
        parts = [container[name] for name in ("kdf", "cipher") if name in container]
        parts += [f"{container['iterations']} iterations"] if "iterations" in container else []
        parts += [f"MAC {container['mac']}"] if "mac" in container else []
        return say(", ".join(parts)) if parts else say("unknown", "dim")

    def kind(record: Record) -> Text:
        name = record["container"]["type"]
        return say(CONTAINER_NAMES.get(name, name)).append(_partial(record))

    columns = (
        Column("Container", kind),
        Column("Protected by", protection, least=26),
        *_places(scope),
        _size(),
        _sha256(),
    )
    found = sorted(containers, key=_address_order)
    return Section(_title("Encrypted containers", found, style="bold yellow"), columns, found)


def _certificates(certificates: list[Record], scope: Scope) -> Section:
    def subject(record: Record) -> Text:
        if "problem" in record:
            known = say(_subject(record)).append(" ") if record["x509"]["subject"].get("distinguished_name") else Text()
            return known.append(say(f"not parsed: {record['problem']}", "yellow")).append(_partial(record))
        return say(_subject(record), "bold" if record["private_keys"] else "").append(_partial(record))

    def issuer(record: Record) -> Text:
        x509 = record["x509"]
        if x509["issuer"] == x509["subject"] and x509["issuer"].get("distinguished_name"):
            return say("self-issued", "dim")
        return say(_short_name(x509["issuer"]))

    def public_key(record: Record) -> Text:
        x509 = record["x509"]
        size = x509.get("public_key_curve", x509.get("public_key_size"))
        return say(algorithm_label(x509.get("public_key_algorithm"), size))

    def names(record: Record) -> Text:
        return say(", ".join(record["x509"]["alternative_names"]))

    ordered = sorted(
        certificates,
        key=lambda record: (not record["private_keys"], record["x509"].get("is_ca") is True, _address_order(record)),
    )
    columns = (
        Column("Subject", subject, least=24),
        Column("Key", lambda record: say("found", "bold red") if record["private_keys"] else Text()),
        Column("Valid until", lambda record: _valid_until(record, scope.now), least=10),
        Column("Issuer", issuer, rank=4, least=22),
        Column("Public key", public_key, rank=3),
        *_places(scope),
        Column("Thumbprint", lambda record: say(record["thumbprint"]), rank=2, short=_HASH),
        Column("Serial number", lambda record: say(record["x509"].get("serial_number")), rank=8, least=20),
        Column("Alternative names", names, rank=6, least=20),
    )
    expired = sum(_validity(record, scope.now) is Validity.EXPIRED for record in certificates)
    paired = sum(1 for record in certificates if record["private_keys"])
    raw = sum(1 for record in certificates if "problem" in record)
    detail = [f"{paired} with private key"] if paired else []
    detail += [f"{expired} expired"] if expired else []
    detail += [f"{raw} not parsed"] if raw else []
    return Section(_title("Certificates", certificates, ", ".join(detail)), columns, ordered)


def _title(name: str, found: list[Record], detail: str = "", *, style: str = "bold") -> Text:
    return title(f"{name}: {len(found)}", detail=f"({detail})" if detail else "", style=style)


def secret_sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield one table of everything secret, a row each: what it is, what it opens, where it lies, who can use it."""

    def secret(record: Record) -> Text:
        if record["kind"] != "encrypted_container":
            return _key(record).append(say(" (unproven)", "yellow") if is_unproven(record) else "")
        name = record["container"]["type"]
        return say(f"{CONTAINER_NAMES.get(name, name)} (encrypted)", "bold yellow").append(_partial(record))

    def exportable(record: Record) -> Text:
        return say("needs its password", "yellow") if record["kind"] == "encrypted_container" else say("yes")

    def name(record: Record) -> Text:
        return say(record["key"]["id"] if "key" in record else record["sha256"])

    columns = (
        Column("Secret", secret),
        *bound_columns("Opens", scope),
        Column("Exportable", exportable, rank=2, least=8),
        *_places(scope),
        *_object_columns(),
        Column("Key id", name, rank=2, short=_HASH),
    )
    if records:
        order = {kind: number for number, kind in enumerate(_ORDER)}
        ordered = sorted(
            records,
            key=lambda record: (not record.get("certificates"), order[record["kind"]], _address_order(record)),
        )
        yield Section(_title("Secrets", records, _paired(records), style="bold red"), columns, ordered)


def _places(scope: Scope) -> tuple[Column, ...]:
    """Return the columns that say where a finding lies: its first place, and how many there are besides."""

    def first(record: Record, name: str) -> Text:
        return say(record["locations"][0].get(name)) if record["locations"] else Text()

    def distinct(name: Callable[[Record], str]) -> Callable[[Record], Text]:
        def cell(record: Record) -> Text:
            found = [text for text in dict.fromkeys(name(place) for place in record["locations"]) if text]
            return _and_more(say(found[0]), len(found)) if found else Text()

        return cell

    def address(record: Record) -> Text:
        if not record["locations"]:
            return Text()
        place = record["locations"][0]
        if "address" in place:
            text = say(place["address"])
        else:
            text = say(f"physical {place['physical_address']:#x}" if "physical_address" in place else "unmapped")
        return _and_more(text, record["location_count"])

    def offset(record: Record) -> Text:
        if not record["locations"] or "file_offset" not in record["locations"][0]:
            return Text()
        place = record["locations"][0]
        parts = len(place["extents"])
        return say(f"{place['file_offset']:#x}" + (f" ({parts} parts)" if parts > 1 else ""))

    process = Column("Process", distinct(process_name), rank=1)
    file = Column("File", distinct(lambda place: scope.file(place["file"])), rank=1, least=12)
    return (
        *((process,) if scope.many_processes else ()),
        *((file,) if scope.many_files else ()),
        Column("Address", address),
        Column("Encoding", distinct(lambda place: place["encoding"]), rank=3),
        Column("File offset", offset, rank=5),
        Column("Module", lambda record: first(record, "module"), rank=6, least=12),
    )


def _key_id() -> Column:
    return Column("Key id", lambda record: say(record["key"]["id"]), rank=2, short=_HASH)


def _proof() -> Column:
    return Column("Proof", lambda record: say(", ".join(record["key"]["proof"])), rank=7, least=18)


def _size() -> Column:
    return Column("Bytes", lambda record: say(record["size"]), rank=3, justify="right")


def _sha256() -> Column:
    return Column("SHA-256", lambda record: say(record["sha256"]), rank=4, short=_HASH)


def _key(record: Record) -> Text:
    key = record["key"]
    style = "" if record["kind"] == "public_key" else "bold red"
    return say(algorithm_label(key["algorithm"], key.get("curve", key["bits"])), style).append(_partial(record))


def algorithm_label(name: str | None, size: object) -> str:
    """Return `RSA 2048`, `EC secp256r1`; a name that says it all (`Ed25519`) stands alone."""
    if name is None:
        return ""
    return name if size is None or any(character.isdigit() for character in name) else f"{name} {size}"


def _short_name(name: Record) -> str:
    common: list[str] = name["common_name"]
    return common[0] if common and common[0] else str(name.get("distinguished_name", ""))


def _subject(record: Record) -> str:
    x509 = record["x509"]
    subject = _short_name(x509["subject"])
    return subject or (x509["alternative_names"] or ["(empty)"])[0]


def _partial(record: Record) -> Text:
    missing = record["locations"][0]["missing"] if record["locations"] else 0
    return say(f" (partial: {missing} of {record['size']} bytes missing)", "yellow") if missing else Text()


def _and_more(text: Text, count: int) -> Text:
    return text.append(f" +{count - 1}", "dim") if count > 1 else text


def _when(record: Record, name: str) -> datetime | None:
    """Return a time of a certificate, or of what a key's record says of one."""
    moment = record.get("x509", record).get(name)
    return None if moment is None else datetime.fromisoformat(moment)


def _validity(record: Record, now: datetime) -> Validity:
    return validity(_when(record, "not_before"), _when(record, "not_after"), now)


def _valid_until(record: Record, now: datetime) -> Text:
    """Return the day on which a certificate expires, and whether it is valid now."""
    until = _when(record, "not_after")
    if until is None:
        return Text()
    day = until.date().isoformat()
    match _validity(record, now):
        case Validity.EXPIRED:
            return say(day, "dim").append(" expired", "red")
        case Validity.FUTURE:
            return say(day).append(" not yet", "yellow")
        case _:
            return say(day)


def _address_order(record: Record) -> tuple[str, int]:
    if not record["locations"]:
        return ("", 0)
    place = record["locations"][0]
    return (place["file"], place.get("virtual_address", place.get("physical_address", 0)))

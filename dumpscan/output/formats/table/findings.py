"""Certificates and keys as tables, the most urgent first: secret keys, what may hold some, what is public."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text

from dumpscan.artifacts.keys.names import algorithm_label
from dumpscan.findings import NOT_ENCRYPTED, Validity, validity
from dumpscan.output.formats.table.columns import Column, at, say
from dumpscan.output.formats.table.places import (
    address_order,
    and_more,
    first_place,
    holder_columns,
    partial_note,
    place_columns,
)
from dumpscan.output.formats.table.sections import Scope, Section, title
from dumpscan.output.labels import container_label, folded_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dumpscan.output.records import Record

UNPROVEN = "unproven_key"
HEADINGS = {
    "private_key": ("Private keys", "bold red"),
    "symmetric_key": ("Symmetric keys", "bold red"),
    "tls_secret": ("TLS secrets", "bold red"),
    "encrypted_container": ("Encrypted containers", "bold yellow"),
    UNPROVEN: ("Unproven keys", "bold yellow"),
    "certificate": ("Certificates", "bold"),
    "public_key": ("Public keys", "bold"),
}
"""Headings of the tables and their styles, in the order of the tables."""

_ORDER = {kind: number for number, kind in enumerate(HEADINGS)}
_AT_CAPTURE = "When captured"
_HASH = 12
"""Hexadecimal digits of a hash that are enough to tell it from others in one dump."""


def sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield a table for each kind of finding that there is."""
    kinds: dict[str, list[Record]] = {kind: [] for kind in HEADINGS}
    folded = 0
    for record in records:
        if is_folded(record) and not scope.everything:
            folded += 1
        else:
            kinds.setdefault(kind_of(record), []).append(record)
    for kind, found in kinds.items():
        if not found:
            continue
        name, style = HEADINGS.get(kind, (kind, "bold"))
        found.sort(key=partial(_urgency, now=scope.now))
        columns, details = _columns(kind, found, scope)
        yield Section(_title(name, found, details, style=style), columns, found)
    if folded:
        yield Section(say(f"{folded_label(folded)}; --all shows them", "dim"), (), ())


def is_folded(record: Record) -> bool:
    """Whether a finding is only counted: a certificate of a well-known authority whose private key was not found."""
    return bool(record.get("well_known_ca")) and not record.get("private_keys")


def kind_of(record: Record) -> str:
    """Return the kind of a finding; private keys that nothing speaks for are a kind of their own."""
    unproven = record["kind"] == "private_key" and not record["key"]["proof"]
    return UNPROVEN if unproven else str(record["kind"])


def secret_sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield a table of what may open something, and one of symmetric keys, which only their addresses tell apart."""

    def secret(record: Record) -> Text:
        if record["kind"] == "encrypted_container":
            state = "encrypted" if encrypted(record) else NOT_ENCRYPTED
            return say(f"{_container(record)} ({state})", "bold yellow")
        return _key(record).append(say(" (unproven)", "yellow") if kind_of(record) == UNPROVEN else "")

    def encrypted(record: Record) -> bool:
        return "container" in record and bool(record["container"].get("cipher") != NOT_ENCRYPTED)

    def exported(record: Record) -> Text:
        return say("under its password" if encrypted(record) else None, "yellow")

    columns = (
        Column("Secret", secret, least=20),
        *_opening_columns("Opens", scope),
        *place_columns(),
        *_object_columns(),
        Column("Exported with -o", exported, rank=2),
        Column("Key id", lambda record: say(record.get("key", {}).get("id", record["sha256"])), rank=2, short=_HASH),
        Column("Problem", partial_note, rank=9, below=True),
    )
    symmetric = [record for record in records if record["kind"] == "symmetric_key"]
    ordered = [record for record in records if record["kind"] != "symmetric_key"]
    ordered.sort(key=lambda record: (_ORDER[record["kind"]], *_urgency(record, scope.now)))
    ordered.sort(key=lambda record: not record.get("certificates"))
    if ordered:
        yield Section(_title("Secrets", ordered, [_paired(ordered)], style="bold red"), columns, ordered)
    yield from sections(symmetric, scope)


def _columns(kind: str, found: list[Record], scope: Scope) -> tuple[tuple[Column, ...], list[str]]:
    """Return the columns for findings of one kind, and what is said of them all."""
    sha256 = Column("SHA-256", at("sha256"), rank=4, short=_HASH)
    size = Column("Bytes", at("size"), rank=3, justify="right")
    match kind:
        case "certificate":
            return _certificate_columns(scope), _certificate_details(found, scope)
        case "encrypted_container":
            own = (
                Column("Container", lambda record: say(_container(record))),
                *holder_columns(scope),
                Column("Protected by", _protection, least=26),
            )
            problem = Column("Problem", partial_note, rank=9, below=True)
            return (*own, *place_columns(), size, sha256, problem), []
        case "private_key":
            return _key_columns("Opens", scope), [_paired(found)]
        case "public_key":
            return _key_columns("Bound by", scope), [_paired(found)]
        case "tls_secret":
            return _tls_columns(scope), [_sessions(found)]
        case "symmetric_key":
            return _key_columns("Opens", scope), []
        case _ if kind == UNPROVEN:
            return _key_columns("Opens", scope), ["nothing was found to check them against"]
        case _:
            return (*holder_columns(scope), *place_columns(), size, sha256), []


# --- TLS secrets -----------------------------------------------------------------------------------------------------


def _tls_columns(scope: Scope) -> tuple[Column, ...]:
    """Return the columns for secrets of TLS sessions; sessions are told by the client's random."""

    def random(record: Record) -> Text:
        known = record["tls"].get("client_random")
        return say(known) if known else say("not found", "dim")

    def placed(record: Record) -> Text:
        if "client_random" not in record["tls"]:
            return Text()
        return say("proven") if record["tls"]["random_proven"] else say("placed, not proven", "yellow")

    def certificate(record: Record) -> Text:
        told = record["tls"]
        return say(f"{told['peer_subject']}, {told['peer_thumbprint']}") if "peer_thumbprint" in told else Text()

    def proof(record: Record) -> Text:
        return say("; ".join(record["tls"]["proof"]))

    return (
        Column("Secret", at("tls.label")),
        Column("Version", at("tls.version")),
        Column("Suite", at("tls.cipher_suite"), rank=1),
        Column("Client random", random, short=_HASH),
        Column("Random is", placed),
        Column("Server name", at("tls.server_name"), rank=3),
        *holder_columns(scope),
        *place_columns(),
        Column("Problem", partial_note, rank=9, below=True),
        Column("Peer's certificate", certificate, rank=9, below=True),
        Column("Proof", proof, rank=9, below=True),
    )


def _sessions(records: list[Record]) -> str:
    randoms = {record["tls"].get("client_random") for record in records} - {None}
    return f"{len(randoms)} session{'' if len(randoms) == 1 else 's'} whose client random is known"


# --- Keys ------------------------------------------------------------------------------------------------------------


def _key_columns(bond: str, scope: Scope) -> tuple[Column, ...]:
    """Return the columns for keys; `bond` says what a certificate is to them."""
    return (
        Column("Key", _key),
        *_opening_columns(bond, scope),
        *place_columns(),
        *_object_columns(),
        Column("Key id", at("key.id"), rank=2, short=_HASH),
        Column("Thumbprint", _thumbprint, rank=4, short=_HASH),
        Column("Problem", partial_note, rank=9, below=True),
        Column("Proof", at("key.proof"), rank=9, below=True),
    )


def _opening_columns(heading: str, scope: Scope) -> tuple[Column, ...]:
    """Return the columns that say which certificate a key belongs to, the first of several, and who holds the key."""

    def bound(record: Record) -> Text:
        certificates = record.get("certificates")
        if certificates is None:  # a kind of key that certificates know nothing of
            return Text()
        if not certificates:
            carrier = record["key"].get("well_known")
            return say(f"nothing: test key of {carrier}" if carrier else "no certificate found", "dim")
        name = certificates[0].get("common_name") or certificates[0]["subject"]
        return and_more(say(name, "bold"), len(certificates))

    def until(record: Record) -> Text:
        certificates = record.get("certificates")
        return _valid_until(certificates[0], scope.now) if certificates else Text()

    def then(record: Record) -> Text:
        certificates = record.get("certificates")
        return _at_capture(certificates[0], record["locations"], scope) if certificates else Text()

    return (
        Column(heading, bound, least=24),
        *holder_columns(scope),
        Column("Valid until", until, least=10),
        Column(_AT_CAPTURE, then, rank=9, below=True),
    )


def _object_columns() -> tuple[Column, ...]:
    """Return the columns of a library's own key object; they vanish if there is none."""

    def first(name: str) -> Callable[[Record], Text]:
        def cell(record: Record) -> Text:
            value = first_place(record).get("key_object", {}).get(name)
            return say(", ".join(value) if isinstance(value, list) else hex(value) if isinstance(value, int) else value)

        return cell

    return (
        Column("Live in", lambda record: say(", ".join(record.get("key", {}).get("live_in", ()))), rank=2, least=8),
        Column("Layout", first("layout"), rank=5),
        Column("Wrapper", first("wrapper"), rank=6),
        Column("Missing", first("missing_parts"), rank=9, below=True),
        Column("Disagrees", first("wrong_parts"), rank=9, below=True),
    )


def _key(record: Record) -> Text:
    key = record["key"]
    style = "" if record["kind"] == "public_key" else "bold red"
    return say(algorithm_label(key["algorithm"], key.get("curve", key["bits"])), style)


def _thumbprint(record: Record) -> Text:
    certificates = record.get("certificates")
    return say(certificates[0]["thumbprint"] if certificates else None)


def _paired(keys: Iterable[Record]) -> str:
    return f"{sum(bool(record.get('certificates')) for record in keys) or 'none'} with a certificate"


# --- Containers and certificates -------------------------------------------------------------------------------------


def _container(record: Record) -> str:
    return container_label(record["container"]["type"])


def _protection(record: Record) -> Text:
    shown = {"kdf": "{}", "cipher": "{}", "iterations": "{} iterations", "mac": "MAC {}"}
    container = record["container"]
    parts = [text.format(container[name]) for name, text in shown.items() if name in container]
    return say(", ".join(parts)) if parts else say("unknown", "dim")


def _certificate_columns(scope: Scope) -> tuple[Column, ...]:
    def public_key(record: Record) -> Text:
        x509 = record["x509"]
        size = x509.get("public_key_curve", x509.get("public_key_size"))
        return say(algorithm_label(x509.get("public_key_algorithm"), size))

    return (
        Column("Subject", _subject, least=24),
        Column("Key", lambda record: say("found" if record["private_keys"] else None, "bold red")),
        *holder_columns(scope),
        Column("Valid until", lambda record: _valid_until(record, scope.now), least=10),
        Column(_AT_CAPTURE, lambda record: _at_capture(record, record["locations"], scope), rank=9, below=True),
        Column("Issuer", _issuer, rank=4, least=22),
        Column("Public key", public_key, rank=3),
        *place_columns(),
        Column("Thumbprint", at("thumbprint"), rank=2, short=_HASH),
        Column("Serial number", at("x509.serial_number"), rank=8, least=20),
        Column("Alternative names", at("x509.alternative_names"), rank=6, least=20),
        Column("Problem", _problem, rank=9, below=True),
    )


def _certificate_details(certificates: list[Record], scope: Scope) -> list[str]:
    counts = {
        "with private key": sum(bool(record["private_keys"]) for record in certificates),
        "expired": sum(_validity(record, scope.now) is Validity.EXPIRED for record in certificates),
        "not parsed": sum("problem" in record for record in certificates),
    }
    return [f"{count} {what}" for what, count in counts.items() if count]


def _subject(record: Record) -> Text:
    x509 = record["x509"]
    name = _short_name(x509["subject"]) or (x509["alternative_names"] or ["(empty)"])[0]
    return say(name, "bold" if record["private_keys"] else "")


def _problem(record: Record) -> Text:
    """Say what is wrong with a certificate: what a strict parser complained of, and what is missing."""
    complaint = say(f"not parsed: {record['problem']}" if "problem" in record else None, "yellow")
    partial = partial_note(record)
    return complaint.append("; ").append(partial) if complaint.plain and partial.plain else complaint.append(partial)


def _issuer(record: Record) -> Text:
    x509 = record["x509"]
    if x509["issuer"] == x509["subject"] and x509["issuer"].get("distinguished_name"):
        return say("self-issued", "dim")
    return say(_short_name(x509["issuer"]))


def _short_name(name: Record) -> str:
    common: list[str] = name["common_name"]
    return common[0] if common and common[0] else str(name.get("distinguished_name", ""))


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


def _at_capture(certificate: Record, places: list[Record], scope: Scope) -> Text:
    """Say that a certificate has expired since a dump was made, and when that was; otherwise nothing."""
    until, since = _when(certificate, "not_after"), _when(certificate, "not_before")
    if until is None or until >= scope.now:
        return Text()
    times = (scope.captured.get(file) for file in dict.fromkeys(place["file"] for place in places))
    made = next((time for time in times if time is not None and (since or time) <= time <= until), None)
    return Text() if made is None else say(f"valid ({made.date().isoformat()}), expired since", "red")


def _when(record: Record, name: str) -> datetime | None:
    """Return a time of a certificate, or of a key's reference to one."""
    moment = record.get("x509", record).get(name)
    return None if moment is None else datetime.fromisoformat(moment)


def _title(name: str, found: list[Record], details: list[str], *, style: str) -> Text:
    return title(f"{name}: {len(found)}", detail=f"({', '.join(details)})" if details else "", style=style)


def _urgency(record: Record, now: datetime) -> tuple[bool, bool, bool, tuple[str, int]]:
    """Sort what is paired before what is not, authorities behind others, what has expired behind what has not."""
    paired = record.get("certificates") or record.get("private_keys")
    return (not paired, record.get("x509", {}).get("is_ca") is True, _is_expired(record, now), address_order(record))


def _is_expired(record: Record, now: datetime) -> bool:
    """Say whether a certificate, or the first one of a key, has expired."""
    certificates = record.get("certificates")
    return _validity(certificates[0] if certificates else record, now) is Validity.EXPIRED

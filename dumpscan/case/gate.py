"""The gate: tells scripts why dumps must not be passed on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dumpscan.artifacts.keys.names import algorithm_label
from dumpscan.artifacts.keys.self_test_keys import carrier_of
from dumpscan.case.moments import At
from dumpscan.case.records import Exposure
from dumpscan.case.rules import GateRule
from dumpscan.findings import Certificate, EncryptedContainer, Status, SymmetricKey, TlsSecret, Validity
from dumpscan.search.reference import references

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from dumpscan.case.records import ExposedKey
    from dumpscan.case.store.reader import Case
    from dumpscan.findings import Finding

_KEY_RULES = {
    GateRule.PRIVATE_KEY,
    GateRule.UNPROVEN_KEY,
    GateRule.KEY_WITH_CERTIFICATE,
    GateRule.LIVE_KEY,
    GateRule.TEST_KEY,
}
_OTHER_RULES = {
    Certificate.kind: {GateRule.CERTIFICATE, GateRule.EXPIRED},
    SymmetricKey.kind: {GateRule.SYMMETRIC_KEY},
    TlsSecret.kind: {GateRule.TLS_SECRET},
    EncryptedContainer.kind: {GateRule.ENCRYPTED_CONTAINER},
}
"""The rules that each kind of finding can break. Those about private keys are `_KEY_RULES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A reason for which the gate is closed.

    Attributes:
        rule: The rule that is broken.
        text: What breaks it and where it lies, in one line.
        file: The dump in which it lies first, or the input that could not be read.
        finding: What breaks it, with its first place at least; None for an input that could not be read.
        other_files: The other dumps in which it lies, if that was asked for.
    """

    rule: GateRule
    text: str
    file: str
    finding: Finding | None = None
    other_files: tuple[str, ...] = ()


def read_allowed(given: Path | str) -> frozenset[str]:
    """Return the names of what is allowed: thumbprints (SHA-1), SHA-256 of certificates or containers, and key ids.

    Args:
        given: A file of certificates or public keys, a list of thumbprints and key ids (one a line, `#` begins a
            comment), or one thumbprint or key id itself (see `dumpscan.search.reference`).

    Raises:
        UsageError: The file cannot be read, or a line holds something else.
    """
    return frozenset().union(*(each.names for each in references(str(given), empty=True)))


def reasons(
    case: Case,
    rules: Iterable[GateRule],
    *,
    dumps: Iterable[str],
    allowed: frozenset[str] = frozenset(),
    now: At | datetime | None = None,
    exposed: Sequence[ExposedKey] | None = None,
) -> Iterator[Reason]:
    """Yield what breaks the rules in some dumps of a case. Keys are paired with certificates over the whole case.

    A key is allowed if its key id is on the list, or the thumbprint or SHA-256 of one of its certificates.

    Args:
        case: The case.
        rules: The rules.
        dumps: Paths of the dumps to judge.
        allowed: The allow list, as `read_allowed` returns it.
        now: By which moments certificates are judged; by default, now and when the dumps were made.
        exposed: What `Case.exposed_keys` returned for them, if the caller has asked already.
    """
    at = At.of(now)
    wanted = set(rules)
    dumps = frozenset(dumps)
    within = case.identities(dumps)
    if wanted & _KEY_RULES:
        keys = case.exposed_keys(at) if exposed is None else exposed
        yield from _of_keys((each for each in keys if each.key.identity in within), wanted, allowed)
    for kind, rules_of_kind in _OTHER_RULES.items():
        if wanted & rules_of_kind:
            captured = case.captured(kind) if GateRule.EXPIRED in wanted & rules_of_kind else {}
            for finding, dump_count in case.first_places(kind):
                if finding.identity in within:
                    for rule, what in _other_reasons(finding, wanted, allowed, at, captured.get(finding.identity, ())):
                        yield _reason(rule, what, finding, dump_count)
    if GateRule.UNREAD in wanted:
        yield from _unread(case, dumps)


def with_other_files(case: Case, found: Iterable[Reason], dumps: Iterable[str]) -> list[Reason]:
    """Return reasons with all of some dumps for which they hold."""
    found, judged = list(found), frozenset(dumps)
    holders = case.holders(each.finding.identity for each in found if each.finding is not None)
    return [
        each
        if each.finding is None
        else replace(each, other_files=tuple(judged.intersection(holders[each.finding.identity]) - {each.file}))
        for each in found
    ]


def not_judged(case: Case, dumps: Iterable[str]) -> dict[str, str]:
    """Return those of some inputs of which the gate says nothing, and why: they are no dumps, or could not be read."""
    wanted = frozenset(dumps)
    return {
        each.path: "; ".join(each.problems) or "not finished"
        for each in case.dumps(processes=False)
        if each.path in wanted and each.status in {Status.UNREADABLE, Status.PENDING, Status.OTHER}
    }


def _of_keys(keys: Iterable[ExposedKey], wanted: set[GateRule], allowed: frozenset[str]) -> Iterator[Reason]:
    for each in keys:
        names = {each.key.key_id, *(name for found in each.certificates for name in _names(found))}
        if allowed.isdisjoint(names):
            yield from _key_reasons(each, wanted)


def _unread(case: Case, dumps: frozenset[str]) -> Iterator[Reason]:
    for dump in case.dumps(processes=False):
        if dump.path in dumps and dump.status in {Status.UNREADABLE, Status.PENDING}:
            text = f"{dump.path}: {'; '.join(dump.problems) or 'not finished'}"
            yield Reason(rule=GateRule.UNREAD, text=text, file=dump.path)


def _reason(rule: GateRule, what: str, finding: Finding, dump_count: int) -> Reason:
    file = finding.locations[0].file
    return Reason(rule=rule, text=f"{what}, {_where(finding, dump_count)}", file=file, finding=finding)


def _key_reasons(exposed: ExposedKey, wanted: set[GateRule]) -> Iterator[Reason]:
    key, certificates = exposed.key, exposed.certificates
    broken = [GateRule.PRIVATE_KEY if key.proof else GateRule.UNPROVEN_KEY]
    if exposed.exposure is not Exposure.ALONE:
        broken.append(GateRule.KEY_WITH_CERTIFICATE)
    if exposed.exposure is Exposure.LIVE:
        broken.append(GateRule.LIVE_KEY)
    of = f", {_subject(certificates[0])}, valid until {_day(certificates[0])}" if certificates else ""
    carrier = carrier_of(key.key_id)
    if carrier is not None:
        broken, of = [GateRule.TEST_KEY], f" of {carrier}{of}"
    label = algorithm_label(key.algorithm, key.curve or key.bits)
    held = f", live in {', '.join(key.live_in)}" if key.live_in else ""
    for rule in broken:
        if rule in wanted:
            yield _reason(
                rule,
                f"{label} key {key.key_id}{of}{held}",
                key,
                exposed.dump_count,
            )


def _other_reasons(
    finding: Finding,
    wanted: set[GateRule],
    allowed: frozenset[str],
    at: At,
    captured: Iterable[datetime | None],
) -> Iterator[tuple[GateRule, str]]:
    match finding:
        case Certificate():
            names = {*_names(finding), finding.key_id or ""}
            broken = [GateRule.CERTIFICATE]
            if at.validity(finding.not_before, finding.not_after, captured) is Validity.EXPIRED:
                broken.append(GateRule.EXPIRED)
            what = f"{_subject(finding)}, thumbprint {finding.thumbprint}, valid until {_day(finding)}"
        case EncryptedContainer() if finding.is_encrypted:
            names, broken = {finding.sha256}, [GateRule.ENCRYPTED_CONTAINER]
            what = f"{finding.container} {finding.sha256}"
        case SymmetricKey():
            names, broken = {finding.key_id}, [GateRule.SYMMETRIC_KEY]
            what = f"{algorithm_label(finding.algorithm, finding.bits)} key {finding.key_id}"
        case TlsSecret():
            names, broken = {finding.secret_id}, [GateRule.TLS_SECRET]
            what = f"{finding.version} secret {finding.label} {finding.secret_id}"
        case _:
            return
    if allowed.isdisjoint(names):
        for rule in broken:
            if rule in wanted:
                yield rule, what


def _names(certificate: Certificate) -> tuple[str, str]:
    """Return the names under which a certificate may be on an allow list."""
    return certificate.thumbprint.lower(), certificate.sha256


def _subject(certificate: Certificate) -> str:
    return certificate.subject or "a certificate without a subject"


def _day(certificate: Certificate) -> str:
    return "an unknown day" if certificate.not_after is None else certificate.not_after.date().isoformat()


def _where(finding: Finding, dump_count: int) -> str:
    place = finding.locations[0]
    process = place.process
    of = f" ({process.name or 'process'} {process.pid or ''})".replace(" )", ")") if process is not None else ""
    others = dump_count - 1
    more = f" and {others} more dump{'' if others == 1 else 's'}" if others > 0 else ""
    return f"in {place.file}{of}{more}"

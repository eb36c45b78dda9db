from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dumpscan.case.gate import read_allowed, reasons
from dumpscan.case.records import Exposure
from dumpscan.case.rules import GateRule
from dumpscan.case.store.reader import Case
from dumpscan.exceptions import UsageError
from dumpscan.findings import NOT_ENCRYPTED, KeyObject, Status
from support import output_samples as samples
from support.case_samples import result, write_case

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

A, B = "/dumps/a.dmp", "/dumps/b.dmp"
WEB, KEY, OLD, OLD_KEY, ALONE = samples.findings()[:5]


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    found = (WEB, OLD, OLD_KEY, ALONE, samples.container(), samples.symmetric_key())
    with Case.open(write_case(tmp_path / "case.db", result(A, KEY), result(B, *found))) as opened:
        yield opened


def broken(case: Case, *rules: GateRule, dumps: tuple[str, ...] = (A, B), allowed: tuple[str, ...] = ()) -> list[str]:
    found = list(reasons(case, rules, dumps=dumps, allowed=frozenset(allowed), now=samples.NOW))
    assert all("\n" not in reason.text and reason.rule in rules for reason in found)
    return [reason.text for reason in found]


def test_each_rule(case: Case) -> None:
    assert len(broken(case, GateRule.PRIVATE_KEY)) == 3
    assert len(broken(case, GateRule.KEY_WITH_CERTIFICATE)) == 2
    (live,) = broken(case, GateRule.LIVE_KEY)
    assert KEY.key_id in live  # type: ignore[attr-defined]
    assert "www.contoso.example" in live
    assert A in live
    (expired,) = broken(case, GateRule.EXPIRED)
    assert "vpn.contoso.example" in expired
    assert len(broken(case, GateRule.CERTIFICATE)) == 2
    assert len(broken(case, GateRule.ENCRYPTED_CONTAINER)) == 1
    assert len(broken(case, GateRule.SYMMETRIC_KEY)) == 1
    assert broken(case) == []
    assert len(broken(case, *GateRule)) == 3 + 2 + 1 + 1 + 2 + 1 + 1


def test_only_the_dumps_at_hand_count_but_pairs_are_those_of_the_case(case: Case) -> None:
    assert len(broken(case, GateRule.LIVE_KEY, dumps=(A,))) == 1  # its certificate lies in the other dump
    assert broken(case, GateRule.LIVE_KEY, dumps=(B,)) == []
    assert broken(case, *GateRule, dumps=("/elsewhere",)) == []


def test_a_test_key_counts_only_if_asked(tmp_path: Path) -> None:
    known = replace(KEY, key_id="7055066ee3969c25d66c1b891c252e83db653ae6834cd60e49250a4af73a97fe")
    with Case.open(write_case(tmp_path / "case.db", result(A, known))) as case:
        (told,) = broken(case, *GateRule)
        assert broken(case, GateRule.TEST_KEY) == [told]
        assert f"{known.key_id} of openssl speed" in told


def test_a_key_that_a_library_holds_is_told_from_one_in_a_file(tmp_path: Path) -> None:
    held = KeyObject(library="openssl", structure="rsa_st", has_private=True)
    live = replace(KEY, locations=tuple(replace(place, key_object=held) for place in KEY.locations))
    with Case.open(write_case(tmp_path / "case.db", result(A, live, ALONE))) as case:
        in_memory, in_file = broken(case, GateRule.PRIVATE_KEY)
    assert f"{KEY.key_id}, live in openssl, in {A}" in in_memory  # type: ignore[attr-defined]
    assert "live" not in in_file


def test_a_container_that_is_not_encrypted_breaks_no_rule(tmp_path: Path) -> None:
    container = replace(samples.container(), cipher=NOT_ENCRYPTED)
    with Case.open(write_case(tmp_path / "open.db", result(A, container))) as opened:
        assert broken(opened, GateRule.ENCRYPTED_CONTAINER) == []


def test_what_is_allowed_is_let_through(case: Case) -> None:
    assert broken(case, GateRule.LIVE_KEY, allowed=(KEY.key_id,)) == []  # type: ignore[attr-defined]
    assert broken(case, GateRule.LIVE_KEY, allowed=(WEB.thumbprint.lower(),)) == []  # type: ignore[attr-defined]
    assert broken(case, GateRule.LIVE_KEY, allowed=(WEB.sha256,)) == []
    assert broken(case, GateRule.EXPIRED, allowed=(OLD.thumbprint.lower(),)) == []  # type: ignore[attr-defined]
    assert broken(case, GateRule.ENCRYPTED_CONTAINER, allowed=(samples.container().sha256,)) == []
    assert len(broken(case, GateRule.LIVE_KEY, allowed=("00" * 20,))) == 1


def test_a_certificate_that_ends_now_is_live_until_then(tmp_path: Path) -> None:
    ending = replace(WEB, not_after=samples.NOW)  # type: ignore[type-var]
    with Case.open(write_case(tmp_path / "case.db", result(A, KEY, ending))) as case:
        assert len(broken(case, GateRule.LIVE_KEY)) == 1
        assert broken(case, GateRule.EXPIRED) == []


def test_a_list_of_what_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "allow.txt"
    thumbprint = "AB:CD:" + ":".join(["01"] * 18)
    path.write_text(f"# test keys\n\n{thumbprint}  # lab\n  {'Ff' * 32}\n", encoding="utf-8")
    assert read_allowed(path) == {"abcd" + "01" * 18, "ff" * 32}


@pytest.mark.parametrize("line", ["xyz", "ab" * 19, "ab" * 33, "CN=www.example.org"])
def test_a_line_that_is_neither_is_an_error(tmp_path: Path, line: str) -> None:
    path = tmp_path / "allow.txt"
    path.write_text(f"# fine\n{line}\n")
    with pytest.raises(UsageError, match="line 2"):
        read_allowed(path)


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read_allowed(path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        read_allowed(tmp_path / "binary")


def test_an_unproven_key_is_a_class_of_its_own(tmp_path: Path) -> None:
    key = replace(samples.private_key(samples.ed25519_key(), "Ed25519", {0x1000: "pkcs8"}), proof=(), certificates=())
    path = write_case(tmp_path / "a.case", result("/dumps/one.dmp", key))
    with Case.open(path) as case:
        assert [each.exposure for each in case.exposed_keys()] == [Exposure.UNPROVEN]
        counts = case.summary().keys
        assert (counts[Exposure.UNPROVEN], counts[Exposure.ALONE]) == (1, 0)
        rules = [GateRule.PRIVATE_KEY, GateRule.UNPROVEN_KEY]
        assert [each.rule for each in reasons(case, rules, dumps=["/dumps/one.dmp"])] == [GateRule.UNPROVEN_KEY]


def test_inputs_that_could_not_be_read_have_a_rule_of_their_own(tmp_path: Path) -> None:
    lost = [
        replace(result(path), record=replace(result(path).record, status=status, problems=problems, processes=()))
        for path, status, problems in (
            ("/dumps/locked.zip", Status.UNREADABLE, ("it needs a password",)),
            ("/dumps/killed.dmp", Status.PENDING, ()),
            ("/dumps/cut.dmp", Status.DAMAGED, ("cut short",)),
        )
    ]
    with Case.open(write_case(tmp_path / "case.db", result(A), *lost)) as case:
        paths = [A, *(each.record.path for each in lost)]
        found = list(reasons(case, [GateRule.UNREAD], dumps=paths))
        assert [each.text for each in found] == [
            "/dumps/killed.dmp: not finished",
            "/dumps/locked.zip: it needs a password",
        ]
        assert not list(reasons(case, [GateRule.PRIVATE_KEY], dumps=paths))

"""What the gate found, as files for other programs, and as a baseline."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from dumpscan.case.gate import Reason
from dumpscan.case.rules import GateRule
from dumpscan.cli.app import app
from dumpscan.exceptions import UsageError
from dumpscan.output.exports.gate import write_junit, write_sarif
from support import output_samples as samples
from support.corpus import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

SAMPLE = SAMPLES / "webserver.dmp"


def triage(folder: Path, *arguments: object, inputs: tuple[Path, ...] = (SAMPLE,)) -> Result:
    given = ["triage", *inputs, "--case", folder / "a.case", "--jobs", 1, "-q", "--no-progress", *arguments]
    return CliRunner().invoke(app, [str(each) for each in given])


def test_sarif_has_a_result_for_each_reason(tmp_path: Path) -> None:
    done = triage(tmp_path, "--fail-on", "private-key", "--fail-on", "certificate", "--sarif", tmp_path / "a.sarif")

    assert done.exit_code == 4
    log: dict[str, Any] = json.loads((tmp_path / "a.sarif").read_text())
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == ["private-key", "certificate"]
    assert len(run["results"]) == done.stderr.count("gate: ")
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == SAMPLE.as_uri()
        assert 0 < place["region"]["byteOffset"] < SAMPLE.stat().st_size
        assert place["region"]["byteLength"] > 0
    assert len({result["partialFingerprints"]["dumpscanFinding/v1"] for result in run["results"]}) == len(
        run["results"]
    )


def test_junit_has_a_case_for_each_input_and_rule(tmp_path: Path) -> None:
    (tmp_path / "empty.dmp").write_bytes(b"")
    rules = ("--fail-on", "private-key", "--fail-on", "unread")
    done = triage(tmp_path, *rules, "--junit", tmp_path / "a.xml", inputs=(SAMPLE, tmp_path / "empty.dmp"))

    assert done.exit_code == 4
    suite = ET.parse(tmp_path / "a.xml").getroot().find("testsuite")  # noqa: S314 - see above
    assert suite is not None
    failed = {(case.get("classname"), case.get("name")): case.find("failure") for case in suite}
    assert len(failed) == int(suite.get("tests", "0")) == 4
    broken = failed["private-key", str(SAMPLE)]
    assert broken is not None
    assert "RSA 2048" in (broken.text or "")
    assert failed["unread", str(SAMPLE)] is None


def test_junit_fails_for_every_dump_that_holds_a_key_and_passes_no_input_that_was_not_read(tmp_path: Path) -> None:
    copy, empty, text = (tmp_path / name for name in ("copy.dmp", "empty.dmp", "readme.txt"))
    copy.write_bytes(SAMPLE.read_bytes())
    empty.write_bytes(b"")
    text.write_text("no dump")
    triage(tmp_path, "--fail-on", "private-key", "--junit", tmp_path / "a.xml", inputs=(SAMPLE, copy, empty, text))

    suite = ET.parse(tmp_path / "a.xml").getroot().find("testsuite")  # noqa: S314 - see above
    assert suite is not None
    told = {case.get("name"): [child.tag for child in case] for case in suite}
    assert told == {
        str(SAMPLE): ["failure"],
        str(copy): ["failure"],
        str(empty): ["skipped"],
        str(text): ["skipped"],
    }
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "2", "2")
    assert all(each.get("message") for each in suite.iter("skipped"))


def test_a_baseline_lets_pass_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    gate = ("--fail-on", "private-key", "--fail-on", "certificate", "--fail-on", "encrypted-container")
    done = triage(tmp_path, *gate, "--write-allow", tmp_path / "allow.txt")

    assert done.exit_code == 0
    assert triage(tmp_path, *gate).exit_code == 4
    assert triage(tmp_path, *gate, "--allow", tmp_path / "allow.txt").exit_code == 0
    lines = (tmp_path / "allow.txt").read_text().splitlines()
    (tmp_path / "allow.txt").write_text("\n".join(lines[:-1]) + "\n")
    done = triage(tmp_path, *gate, "--allow", tmp_path / "allow.txt")
    assert (done.exit_code, done.stderr.count("gate: ")) == (4, 1)


def test_what_could_not_be_read_is_never_allowed(tmp_path: Path) -> None:
    (tmp_path / "empty.dmp").write_bytes(b"")
    given = ("--fail-on", "unread", "--write-allow", tmp_path / "allow.txt")
    done = triage(tmp_path, *given, inputs=(tmp_path / "empty.dmp",))
    assert done.exit_code in {1, 4}
    assert len((tmp_path / "allow.txt").read_text().splitlines()) == 1


@pytest.mark.parametrize("option", ["--sarif", "--junit", "--write-allow"])
def test_files_without_a_rule_are_refused(option: str, tmp_path: Path) -> None:
    done = triage(tmp_path, option, tmp_path / "a")
    assert isinstance(done.exception, UsageError)
    assert not (tmp_path / "a").exists()


def test_every_rule_has_a_meaning(tmp_path: Path) -> None:
    with (tmp_path / "a.sarif").open("w", encoding="utf-8") as stream:
        write_sarif([], list(GateRule), [], stream)
    rules = json.loads((tmp_path / "a.sarif").read_text())["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(GateRule)
    assert all(rule["shortDescription"]["text"] for rule in rules)


def test_files_hold_for_any_text(tmp_path: Path) -> None:
    name = '/dumps/<a & b>\ud800\x01 "c".dmp'
    key = samples.private_key(samples.rsa_key(), "RSA", {0x1000: "pkcs8"})
    reason = Reason(rule=GateRule.PRIVATE_KEY, text=f"key in {name}", file=name, finding=key)
    for write, ending in ((write_sarif, "sarif"), (write_junit, "xml")):
        with (tmp_path / f"a.{ending}").open("w", encoding="utf-8") as stream:
            write([reason], [GateRule.PRIVATE_KEY], ["/dumps/other.dmp"], stream)
    suite = ET.parse(tmp_path / "a.xml").getroot()[0]  # noqa: S314 - see above
    assert len(suite) == 2
    assert json.loads((tmp_path / "a.sarif").read_text())["runs"][0]["results"]

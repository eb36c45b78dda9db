"""The command line as a user meets it: a process of its own, its output, its exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan import __version__
from dumpscan.synth.minidump.builder import MinidumpBuilder
from support.corpus import CORPUS, SAMPLES, corpus_dumps

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("numpy", "hyperscan", "cryptography", "rich", "dissect", "asn1crypto", "volatility3", "pydantic")


def dumpscan(*arguments: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command; no command may ever end in a traceback."""
    environment = {**os.environ, "COLUMNS": "100", "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "dumpscan", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, input=stdin)
    assert "Traceback" not in done.stderr
    return done


def findings(*arguments: object) -> list[dict[str, Any]]:
    done = dumpscan(*arguments, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def small_dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A process without keys, whose strings are an attacker's."""
    path = tmp_path_factory.mktemp("small") / "small.dmp"
    builder = MinidumpBuilder("x64", pid=4711)
    builder.add_thread(1)
    builder.add_memory(0x20000, b"nothing to see here" * 100)
    builder.add_process(
        command_line='=evil.exe "\x1b]0;owned\x07" \u202e\ud800',
        environment=["=C:=C:\\lab", "NAME=va\x1b[31mlue", "EMPTY="],
        image_path="C:\\lab\\evil.exe",
    )
    builder.write(path)
    return path


def test_version_and_help() -> None:
    assert dumpscan("--version").stdout == f"dumpscan {__version__}\n"
    assert "minidump" in dumpscan("--help").stdout
    assert "--format" in dumpscan("minidump", "x509", "--help").stdout


def test_help_imports_nothing_heavy() -> None:
    program = f"import sys, dumpscan.cli.app; sys.exit(' '.join(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == "\n"


UNNEEDED = (
    *("asyncio", "sqlite3", "email.message", "importlib.metadata", "jinja2", "lz4", "py7zr", "pydantic", "zstandard"),
    *("numpy.ma", "rich.console", "rich.table", "volatility3", "dumpscan.artifacts.aes"),
    *(
        "dumpscan.search.reference",
        "dumpscan.search.physical",
        "dumpscan.memory.core",
        "dumpscan.memory.kernel",
        "dumpscan.memory.symbols.store",
        "dumpscan.case.store",
    ),
)


def test_a_small_search_imports_only_what_it_needs() -> None:
    """It takes longer to import what is not needed than to search a small dump."""
    arguments = ["minidump", "x509", str(SAMPLES / "webserver.dmp")]
    program = (
        f"import sys; from dumpscan.cli.app import app; app.main({arguments}, standalone_mode=False); "
        f"sys.exit(' '.join(sorted(set(sys.modules) & set({UNNEEDED!r}))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "shop.contoso.example" in done.stdout
    assert done.stderr == "\n"


def test_what_stays_until_the_end_is_not_looked_through_for_cycles() -> None:
    """The garbage collector would take a fifth of the time of a short command."""
    program = (
        "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 1000, gc.get_threshold()[0])); "
        "import sys; sys.argv = ['dumpscan', '--version']; from dumpscan.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == f"dumpscan {__version__}\nTrue 50000\n"


def test_volatility3_is_imported_for_kernel_images_only(tmp_path: Path) -> None:
    sample, case = str(SAMPLES / "webserver.dmp"), str(tmp_path / "case.db")
    commands = [
        ["info", sample],
        ["scan", sample],
        ["find", "E2D5CA908636486D13318BAE77D18D0B079CEA23", sample],
        ["triage", sample, "-c", case, "--jobs", "1", "-q"],
        ["case", "show", case],
        ["report", case, "-o", str(tmp_path / "report.html")],
    ]
    program = (
        f"import sys; from dumpscan.cli.app import app; "
        f"print([app.main(each, standalone_mode=False) for each in {commands}]); "
        f"sys.exit('volatility3' if 'volatility3' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("[0, 0, 0, 0, 0, 0]\n")


@pytest.mark.parametrize("arguments", [["minidump", "x509"], ["minidump", "nonsense"], ["--nonsense"]])
def test_a_wrong_command_line_exits_with_2(arguments: list[str]) -> None:
    assert dumpscan(*arguments).returncode == 2


def test_a_password_needs_an_output(small_dump: Path) -> None:
    done = dumpscan("minidump", "x509", small_dump, "--password", "secret")
    assert done.returncode == 2
    assert "--output" in done.stderr


@pytest.mark.parametrize("command", ["info", "cmdline", "envars", "envar", "x509"])
def test_what_cannot_be_read_is_named_and_exits_with_1(command: str, tmp_path: Path) -> None:
    (tmp_path / "empty.dmp").write_bytes(b"")
    (tmp_path / "text.dmp").write_text("this is no dump, however long it may be" * 10)
    os.mkfifo(tmp_path / "pipe.dmp")
    for bad in ("empty.dmp", "text.dmp", "pipe.dmp", "absent.dmp", "."):
        done = dumpscan("minidump", command, tmp_path / bad)
        assert done.returncode == 1
        assert done.stderr.startswith("dumpscan: error: ")
        assert str(tmp_path / bad) in done.stderr
        assert (
            "expected" in done.stderr or "cannot" in done.stderr or "directory" in done.stderr or "empty" in done.stderr
        )


def test_the_rest_goes_on_after_an_unreadable_input(small_dump: Path, tmp_path: Path) -> None:
    done = dumpscan("minidump", "cmdline", tmp_path / "absent.dmp", small_dump, "--format", "json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert [entry["status"] for entry in document["inputs"]] == ["unreadable", "ok"]
    assert [record["process"]["pid"] for record in document["findings"]] == [4711]


def test_a_damaged_dump_gives_results_a_warning_and_exit_code_3(small_dump: Path, tmp_path: Path) -> None:
    whole = small_dump.read_bytes()
    cut = tmp_path / "cut.dmp"
    cut.write_bytes(whole[:-64])
    done = dumpscan("minidump", "info", cut, "--format", "json")
    assert done.returncode == 3
    assert "dumpscan: warning: " in done.stderr
    document = json.loads(done.stdout)
    assert document["inputs"][0]["status"] == "damaged"
    assert document["inputs"][0]["problems"]
    assert document["findings"][0]["minidump"]["process"]["pid"] == 4711
    quiet = dumpscan("minidump", "info", cut, "-q")
    assert (quiet.returncode, quiet.stderr) == (3, "")


def test_nothing_found_is_said_and_is_no_failure(small_dump: Path) -> None:
    done = dumpscan("minidump", "x509", small_dump, "--format", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["findings"] == []
    assert "no certificate and no private key found" in done.stderr
    assert "keys that SymCrypt holds were not searched for" in done.stderr


@pytest.mark.parametrize("output_format", ["table", "csv", "json", "jsonl"])
@pytest.mark.parametrize("command", ["cmdline", "envars", "info"])
def test_no_control_character_of_a_dump_reaches_the_terminal(
    command: str, output_format: str, small_dump: Path
) -> None:
    done = dumpscan("minidump", command, small_dump, "--format", output_format)
    assert done.returncode == 0
    assert not {character for character in done.stdout if ord(character) < 32} - {"\n"}
    assert "\u202e" not in done.stdout


def test_json_keeps_the_exact_strings(small_dump: Path) -> None:
    (record,) = findings("minidump", "cmdline", small_dump)
    assert record["process"]["command_line"] == '=evil.exe "\x1b]0;owned\x07" \u202e\ud800'
    (record,) = findings("minidump", "envars", small_dump)
    assert record["process"]["env_vars"] == ["=C:=C:\\lab", "NAME=va\x1b[31mlue", "EMPTY="]


def test_csv_neutralises_formulas(small_dump: Path) -> None:
    done = dumpscan("minidump", "cmdline", small_dump, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert row["process.command_line"].startswith("'=evil.exe")


def test_a_stack_only_dump_says_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "stack.dmp"
    builder = MinidumpBuilder("x64", pid=7)
    builder.add_thread(1)
    builder.add_memory(0x20000, bytes(64))
    builder.write(path)
    for command in ("cmdline", "envars"):
        done = dumpscan("minidump", command, path)
        assert done.returncode == 0
        assert "dumpscan: note: " in done.stderr


def test_a_reader_that_goes_away_is_no_error_of_ours(small_dump: Path) -> None:
    command = f"{sys.executable} -m dumpscan minidump info {small_dump} --format jsonl | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["info", "cmdline", "envars", "x509"])
def test_real_dumps(command: str) -> None:
    dumps = corpus_dumps()
    if not dumps:
        pytest.skip(f"no corpus of real dumps at {CORPUS}")
    done = dumpscan("minidump", command, *dumps, "--format", "json")
    inputs = json.loads(done.stdout)["inputs"]
    assert [entry["file"] for entry in inputs] == [str(dump) for dump in dumps]
    assert {entry["status"] for entry in inputs} == {"ok", "damaged"}
    assert done.returncode == 3


def test_a_real_process_in_full(wine_dump: Path, wine_truth: dict[str, Any], tmp_path: Path) -> None:
    (record,) = findings("minidump", "cmdline", wine_dump)
    assert record["process"]["command_line"] == wine_truth["cmdline"]
    (record,) = findings("minidump", "envars", wine_dump)
    assert record["process"]["env_vars"] == wine_truth["environment"]
    found = {
        (place["virtual_address"], place["length"])
        for record in findings("minidump", "x509", wine_dump, "-o", tmp_path / "out")
        for place in record["locations"]
    }
    for name in ("rsa.cer", "ec.pem", "ec.trad", "rsa.p8"):
        planted = wine_truth[name]
        assert any(
            planted["va"] <= address and address + length <= planted["va"] + planted["size"] and length > 100
            for address, length in found
        ), name
    assert len(found) == 4
    exported = {path.suffix for path in (tmp_path / "out").iterdir()}
    assert exported == {".cer", ".pem", ".pfx", ".jsonl"}

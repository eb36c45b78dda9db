"""`python -m fuzz.torture`: what happens to a program in the field, done to it on purpose.

It is interrupted and killed at random moments, the disk is full, two runs want one case or one directory, files have
names that steer terminals, and every output is searched for the secrets in the dumps.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pty
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from fuzz.secrets import found
from support.artifact_samples import certificate_of, pem
from support.core_bytes import sample_core
from support.corpus import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "COLUMNS": "200"}
FORMATS = ("table", "json", "jsonl", "csv")
READING = ("info", "pslist", "cmdline", "envars", "x509", "symcrypt", "keys", "scan")
NAMES = (
    "\x1b]0;owned\x07.core",
    "\x1b[2J\x1b[31mred.core",
    "\u202egpj.core",
    "\u2066isolated.core",
    "\x9b31mc1.core",
    "new\nline.core",
    "carriage\rreturn.core",
    "-rf.core",
    "tab\t.core",
    "\udcff\udcfe.core",
    "n" * 250 + ".core",
    "percent%s%n{}.core",
    "[bold]markup[/].core",
)
"""Names of files; none of their characters may steer the terminal that they are shown on."""
STEERING = ("\x1b]", "\x1b[2J", "\x1b[31m", "\x9b", "\u202e", "\u2066", "\x07")
FAULTS = (b"Traceback", b"Exception ignored", b"Fatal Python error")
_WAIT = 120


def command(*arguments: object) -> list[str]:
    """Return the command line of dumpscan, as an installed program would have it."""
    start = "import sys; sys.argv[0] = '/usr/bin/dumpscan'; from dumpscan.cli import main; main()"
    return [sys.executable, "-c", start, *map(str, arguments)]


def run(*arguments: object, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end."""
    done = subprocess.run(
        command(*arguments), stdout=stdout, stderr=subprocess.PIPE, check=False, env=ENVIRONMENT, timeout=_WAIT
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout or b"", done.stderr)


def faults(output: bytes) -> list[str]:
    """Say which sign of a fault is in output."""
    return [f"{fault.decode()}: {output[-1500:].decode(errors='replace')}" for fault in FAULTS if fault in output]


def secret_core() -> tuple[bytes, dict[str, bytes]]:
    """Make a core with keys in several forms; return it, and the secret numbers."""
    made = rsa.generate_private_key(65537, 2048)
    numbers = made.private_numbers()
    curve = ec.generate_private_key(ec.SECP256R1())
    edwards = ed25519.Ed25519PrivateKey.generate()
    pkcs8 = [each.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) for each in (made, curve, edwards)]
    certificate = certificate_of(made).public_bytes(Encoding.DER)
    public = edwards.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    extra = bytes(16).join((*pkcs8, pem(pkcs8[0], "PRIVATE KEY"), certificate, public))
    secrets = {
        name: value.to_bytes((value.bit_length() + 7) // 8, "big")
        for name, value in {
            "d": numbers.d,
            "p": numbers.p,
            "q": numbers.q,
            "the inverse of q": numbers.iqmp,
            "the scalar": curve.private_numbers().private_value,
        }.items()
    }
    return sample_core(extra=extra), secrets | {"the seed": edwards.private_bytes_raw()}


def secrets(directory: Path, _rng: random.Random) -> Iterator[str]:
    """Search everything that is written, but for exports of keys, for the secrets in a dump."""
    content, known = secret_core()
    dump, case = directory / "secret.core", directory / "secret.case"
    dump.write_bytes(content)
    (directory / "cut.core").write_bytes(content[:-1500])
    commands: list[tuple[object, ...]] = [
        (each, path, "--format", form)
        for each in READING
        for form in FORMATS
        for path in (dump, directory / "cut.core")
    ]
    commands += [
        ("triage", dump, "-c", case),
        *(("triage", dump, "-c", case, "--again", "--format", form) for form in FORMATS),
        *(("case", "show", case, "--format", form) for form in FORMATS),
        *(("case", "export", case, "--to", to) for to in ("ecs", "timesketch", "stix")),
        ("case", "query", case, "SELECT * FROM findings"),
        ("report", case, "-o", directory / "report.html"),
    ]
    for arguments in commands:
        done = run(*arguments)
        output = done.stdout + done.stderr
        yield from faults(output)
        yield from (f"{arguments[0]}: {each}" for each in found(output, known))
    for path in (case, directory / "report.html"):
        yield from (f"{path.name}: {each}" for each in found(path.read_bytes(), known))


def names(directory: Path, _rng: random.Random) -> Iterator[str]:
    """Show files with hostile names on a terminal, by every command and in every format."""
    content, _ = secret_core()
    paths = []
    for name in NAMES:
        path = directory / name
        with contextlib.suppress(OSError):
            path.write_bytes(content)
            paths.append(path)
    broken = directory / "\x1b]0;broken\x07.dmp"
    broken.write_bytes(b"MDMP" + bytes(100))
    missing = directory / "\x1b]0;missing\x07"
    for each in READING:
        for form in FORMATS:
            yield from _on_terminal(each, *paths, broken, missing, "--format", form)
    case = directory / "\x1b]0;case\x07.case"
    yield from _on_terminal("triage", *paths, broken, "-c", case)
    yield from _on_terminal("case", "show", case)
    yield from _on_terminal("report", case, "-o", directory / "\x1b[2Jreport.html")
    yield from _on_terminal("x509", paths[0], "-o", directory / "\x1b[2Jexport")


def _on_terminal(*arguments: object) -> Iterator[str]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command(*arguments), stdin=theirs, stdout=theirs, stderr=theirs, env=ENVIRONMENT)
    os.close(theirs)
    output = b""
    with contextlib.suppress(OSError):  # the terminal is gone when the program has ended
        while part := os.read(ours, 1 << 16):
            output += part
    os.close(ours)
    process.wait(_WAIT)
    yield from faults(output)
    shown = output.decode(errors="surrogateescape")
    yield from (f"{arguments[0]}: {each!r} reaches the terminal" for each in STEERING if each in shown)


def _dumps(directory: Path, count: int) -> Path:
    """Make a directory of dumps."""
    made = directory / "dumps"
    made.mkdir()
    content = (SAMPLES / "webserver.dmp").read_bytes()
    for number in range(count):
        (made / f"{number}.dmp").write_bytes(content)
    return made


def interrupts(directory: Path, rng: random.Random) -> Iterator[str]:
    """Interrupt triage at random moments: no traceback, and the next run reads the rest."""
    dumps, case = _dumps(directory, 12), directory / "interrupted.case"
    for _ in range(24):
        seconds = rng.random() * rng.choice((1, 3))
        process = subprocess.Popen(
            command("triage", dumps, "-c", case, "-j", 2, "--again"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, start_new_session=True,
        )  # fmt: skip
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        output = b"".join(process.communicate(timeout=_WAIT))
        if b"site" not in output and b"init_" not in output:  # the interpreter itself was not running yet
            yield from (f"after {seconds:.3f} s: {each}" for each in faults(output))
    yield from _whole(dumps, case, 12)


def kills(directory: Path, rng: random.Random) -> Iterator[str]:
    """Kill triage at random moments: the case stays whole, and nothing is left behind."""
    dumps, case, temporary = _dumps(directory, 12), directory / "killed.case", directory / "temporary"
    temporary.mkdir()
    for _ in range(12):
        process = subprocess.Popen(
            command("triage", dumps, "-c", case, "-j", 2, "--again"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**ENVIRONMENT, "TMPDIR": str(temporary)},
        )  # fmt: skip
        time.sleep(rng.random() * 4)
        process.kill()
        process.wait(_WAIT)
    time.sleep(2)  # its workers notice that it is gone
    ENVIRONMENT["TMPDIR"] = str(temporary)
    try:
        yield from _whole(dumps, case, 12)
    finally:
        del ENVIRONMENT["TMPDIR"]
    yield from (f"left behind: {path.name}" for path in temporary.iterdir())


def _whole(dumps: Path, case: Path, count: int) -> Iterator[str]:
    """Run triage to its end, and see whether the case has all dumps once."""
    done = run("triage", dumps, "-c", case)
    yield from faults(done.stdout + done.stderr)
    shown = run("case", "query", case, "SELECT count(*) AS n, count(DISTINCT path) AS p FROM dumps", "--format", "json")
    if f"{count}" not in shown.stdout.decode():
        yield f"the case does not hold all dumps: {shown.stdout.decode()} {shown.stderr.decode()}"


def two_at_once(directory: Path, _rng: random.Random) -> Iterator[str]:
    """Let two runs write one case, and one directory of exports."""
    dumps, case, export = _dumps(directory, 6), directory / "shared.case", directory / "export"
    for arguments in (("triage", dumps, "-c", case), ("x509", dumps / "0.dmp", "-o", export)):
        started = [
            subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
            for _ in range(2)
        ]
        outputs = [b"".join(process.communicate(timeout=_WAIT)) for process in started]
        yield from (fault for output in outputs for fault in faults(output))
        if all(process.returncode not in (0, 3) for process in started):
            yield f"{arguments[0]}: neither run succeeded"
    yield from _whole(dumps, case, 6)
    for path in export.glob("*manifest*"):
        for line in path.read_text().splitlines():
            with contextlib.suppress(ValueError):
                json.loads(line)
                continue
            if path.suffix == ".jsonl":
                yield f"a broken line in {path.name}"


def full_disk(directory: Path, _rng: random.Random) -> Iterator[str]:
    """Write to a full device, and to a small file system where one can be mounted."""
    dump = SAMPLES / "webserver.dmp"
    for arguments in (("scan", dump), ("scan", dump, "--format", "json"), ("info", dump, "--format", "csv")):
        with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
            done = run(*arguments, stdout=full.fileno())
        yield from faults(done.stderr)
        if done.returncode != 1 or b"No space left on device" not in done.stderr:
            yield f"{arguments}: a full device is not told: {done.returncode} {done.stderr!r}"
    small = directory / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)], check=False, capture_output=True
    )
    if mounted.returncode:
        print("no tmpfs can be mounted here: only /dev/full was tried")  # noqa: T201
        return
    try:
        (small / "filler").write_bytes(bytes(56 << 10))
        for arguments in (
            ("triage", dump, "-c", small / "a.case"),
            ("x509", dump, "-o", small / "export"),
            ("synth", "minidump", SAMPLES / "webserver.toml", "-o", small / "synth"),
        ):
            done = run(*arguments)
            yield from faults(done.stdout + done.stderr)
            if done.returncode != 1 or not done.stderr.strip():
                yield f"{arguments[0]}: a full disk is not told: {done.returncode} {done.stderr!r}"
    finally:
        subprocess.run(["umount", str(small)], check=False)


WAYS: dict[str, Callable[[Path, random.Random], Iterator[str]]] = {
    "secrets": secrets,
    "names": names,
    "interrupts": interrupts,
    "kills": kills,
    "two-at-once": two_at_once,
    "full-disk": full_disk,
}


def main() -> int:
    """Do all of it, as often as asked for; return 1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="torture", description="Torture dumpscan.")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", nargs="*", choices=WAYS, default=[*WAYS])
    chosen = parser.parse_args()
    wrong = 0
    for number in range(chosen.rounds):
        for way in chosen.only:
            with tempfile.TemporaryDirectory() as made:
                problems = list(WAYS[way](Path(made), random.Random(f"{way}-{chosen.seed}-{number}")))  # noqa: S311
            print(f"{way}: {len(problems)} problems")  # noqa: T201
            for problem in problems:
                print(f"  {problem}")  # noqa: T201
            wrong += len(problems)
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())

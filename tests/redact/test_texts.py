"""Secrets that processes are given as text."""

from __future__ import annotations

import pytest

from dumpscan.findings import Process
from dumpscan.redact.secret import Wanted
from dumpscan.redact.texts import argument_secrets, environment_secrets


def variables(*entries: str, keep: tuple[str, ...] = ()) -> set[str]:
    wanted = Wanted(keep_environment=keep)
    return {secret.label for secret in environment_secrets(Process(environment=entries), wanted)}


def test_values_go_but_for_harmless_ones() -> None:
    entries = ("PATH=/bin", "Path=C:\\", "SystemRoot=C:\\Windows", "APP=x", "DB_PASSWORD=y", "=C:=C:\\", "EMPTY=")

    assert variables(*entries) == {"APP", "DB_PASSWORD"}
    assert variables(*entries, keep=("app",)) == {"DB_PASSWORD"}


def test_filling_is_no_value() -> None:
    assert not variables("APP=REDACTEDREDA", "B=ACTED", "C=\0\0")


def test_a_password_is_looked_for_everywhere_a_word_only_behind_its_name() -> None:
    secrets = list(environment_secrets(Process(environment=("APP_MODE=production", "TOKEN=t0k3n-1")), Wanted()))

    assert [[value.before for value in secret.values] for secret in secrets] == [[b"APP_MODE="], [b"TOKEN=", b""]]


@pytest.mark.parametrize(
    ("value", "everywhere"),
    [
        ("licence-77-abc", True),
        ("x86_64-linux-gnu2", False),
        ("12.0.1-hotfix3", False),
        ("/srv/app1/instance2", False),
        ("two words of 2026", False),
        ("short-7", False),
    ],
)
def test_a_value_that_is_in_no_program_is_looked_for_everywhere(value: str, *, everywhere: bool) -> None:
    (secret,) = environment_secrets(Process(environment=(f"ORDINARY={value}",)), Wanted())

    assert (b"" in [each.before for each in secret.values]) is everywhere


def test_a_value_that_is_part_of_a_modules_name_stays_there() -> None:
    process = Process(environment=("DEVICE_ID=C7B1A2E4-BA57-4D2B", "DB_PASSWORD=Tr0ub4dor&3"))

    secrets = list(environment_secrets(process, Wanted(), "/devices/C7B1A2E4-BA57-4D2B/app"))

    assert [[value.before for value in secret.values] for secret in secrets] == [
        [b"DEVICE_ID="],
        [b"DB_PASSWORD=", b""],
    ]


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (("app", "--password=Tr0ub4dor", "x"), {b"Tr0ub4dor"}),
        (("app", "--db-password", "Tr0ub4dor"), {b"Tr0ub4dor"}),
        (("app.exe", "/token:abc123def"), {b"abc123def"}),
        (("mysql", "-pTr0ub4dor"), {b"Tr0ub4dor"}),
        (("mysql", "-p", "Tr0ub4dor"), {b"Tr0ub4dor"}),
        (("psql", "postgres://me:Tr0ub4dor@db/x"), {b"Tr0ub4dor"}),
        (("openssl", "s_server", "-pass", "pass:Tr0ub4dor"), {b"pass:Tr0ub4dor", b"Tr0ub4dor"}),
        (("ssh", "-p", "8022", "host"), set()),
        (("app", "--password-file", "/etc/x", "--verbose"), set()),
        (("app", "--port", "22"), set()),
    ],
)
def test_arguments(arguments: tuple[str, ...], values: set[bytes]) -> None:
    listed = Process(command_line=" ".join(arguments), arguments=arguments)
    line = Process(command_line=" ".join(arguments))

    for process in (listed, line):
        assert {value.data for secret in argument_secrets(process) for value in secret.values} == values

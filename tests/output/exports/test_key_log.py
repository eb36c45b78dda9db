"""Secrets of TLS sessions as a key log: what its lines say, and what becomes of a log that is there already."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import ExportError
from dumpscan.findings import Location, TlsSecret
from dumpscan.output.exports.key_files import export
from dumpscan.output.exports.key_log import KEY_LOG

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = "ab" * 32


def _secret(label: str, random: str | None = RANDOM) -> TlsSecret:
    secret = sha256(label.encode()).digest()
    place = Location(
        file="a\nb.core", extents=((0, 32),), virtual_address=4096, length=32, encoding="tls-secret", sha256="00" * 32
    )
    return TlsSecret(
        sha256="00" * 32,
        size=32,
        secret_id=sha256(secret).hexdigest(),
        label=label,
        version="TLS 1.3",
        cipher_suite="TLS_AES_128_GCM_SHA256",
        client_random=random,
        proof=("the AES key that follows from it is in use",),
        secret=secret,
        locations=(place,),
        location_count=1,
    )


CLIENT, SERVER = _secret("CLIENT_TRAFFIC_SECRET_0"), _secret("SERVER_TRAFFIC_SECRET_0")


def _lines(directory: Path) -> list[str]:
    return (directory / KEY_LOG).read_text(encoding="ascii").splitlines()


def test_a_line_is_label_random_and_secret(tmp_path: Path) -> None:
    report = export([CLIENT, SERVER], tmp_path / "out", None)
    assert [(file.name, file.kind) for file in report.files] == [(KEY_LOG, "key_log")]
    heading, *lines = _lines(tmp_path / "out")
    assert lines == [f"{each.label} {RANDOM} {each.secret.hex()}" for each in (CLIENT, SERVER)]
    assert heading.startswith("# ")
    assert heading.endswith("client random placed, not proven")
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "out" / KEY_LOG).stat().st_mode) == 0o600


def test_what_a_reader_could_not_use_is_a_comment(tmp_path: Path) -> None:
    unknown = _secret("CLIENT_TRAFFIC_SECRET_0", None)
    export([unknown, _secret("TRAFFIC_SECRET_0")], tmp_path / "out", None)
    lines = _lines(tmp_path / "out")
    assert f"# CLIENT_TRAFFIC_SECRET_0 ? {unknown.secret.hex()}" in lines
    assert all(line.startswith("#") for line in lines)


def test_a_log_grows_and_says_nothing_twice(tmp_path: Path) -> None:
    export([CLIENT], tmp_path / "out", None)
    before = _lines(tmp_path / "out")
    assert export([CLIENT], tmp_path / "out", None).already_there
    assert _lines(tmp_path / "out") == before
    proven = replace(SERVER, client_random="cd" * 32, random_proven=True)
    assert export([proven], tmp_path / "out", None).written
    after = _lines(tmp_path / "out")
    assert after[: len(before)] == before
    assert len(after) == len(before) + 2


def test_another_file_of_that_name_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / KEY_LOG).write_text("shopping\n")
    with pytest.raises(ExportError, match="is not a key log"):
        export([CLIENT], tmp_path / "out", None)
    assert (tmp_path / "out" / KEY_LOG).read_text() == "shopping\n"


def test_a_password_could_not_protect_it(tmp_path: Path) -> None:
    report = export([CLIENT], tmp_path / "out", b"password")
    assert not report.files
    assert "cannot be encrypted" in report.warnings[-1]
    assert not (tmp_path / "out" / KEY_LOG).exists()

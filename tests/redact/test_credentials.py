"""Credentials by their shape, and what only looks like one."""

from __future__ import annotations

import base64

import pytest

from dumpscan.redact.shapes.credentials import RULES, find_credentials

TOKEN = "ghp_" + "aB3dE5" * 6
JWT = ".".join(
    base64.urlsafe_b64encode(part).rstrip(b"=").decode()
    for part in (b'{"alg":"HS256"}', b'{"sub":"1234567890"}', b"a signature of some length")
)


def found(text: str, encoding: str = "ascii") -> list[bytes]:
    data = b"\0\0" + text.encode(encoding) + b"\0\0"
    return [data[place.offset : place.offset + place.length] for _, place in find_credentials(memoryview(data))]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"x {JWT} y", JWT),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        (f"token {TOKEN}", TOKEN),
        ("glpat-abcDEF0123456789abcd", "glpat-abcDEF0123456789abcd"),
        (f"-----BEGIN RSA PRIVATE KEY-----\nMII{'Ab0+' * 20}\n{'xY9/' * 9}", f"MII{'Ab0+' * 20}\n{'xY9/' * 9}"),
        ("Authorization: Basic dXNlcjpwYXNzdzByZA==\r\n", "dXNlcjpwYXNzdzByZA=="),
        ("authorization: Bearer abc.DEF-0123456789\r\n", "abc.DEF-0123456789"),
        ("Cookie: session=a1b2c3d4e5f6\r\n", "session=a1b2c3d4e5f6"),
        ("postgres://app:s3cr3t@db.internal:5432/x", "s3cr3t"),
        ("DB_PASSWORD=pw-fe40d883052ede11", "pw-fe40d883052ede11"),
        ("Server=db;User Id=sa;Password=Zq8!vmPw;Encrypt=true", "Zq8!vmPw"),
        ('{"client_secret": "0a1B2c3D4e5F"}', "0a1B2c3D4e5F"),
    ],
)
def test_it_is_found_in_ascii_and_utf16(text: str, secret: str) -> None:
    assert secret.encode() in found(text)
    assert secret.encode("utf-16-le") in found(text, "utf-16-le")


@pytest.mark.parametrize("text", ["Cookie\0 sid=a1b2c3d4e5f6\0\n", "Authorization\0 Basic dXNlcjpwYXNzdzByZA==\0\n"])
def test_headers_that_nginx_has_cut_into_names_and_values(text: str) -> None:
    assert found(text) == [text.rsplit(" ", maxsplit=1)[-1].strip("\0\n").encode()]


@pytest.mark.parametrize(
    "text",
    [
        "password=value",
        "-----BEGIN PRIVATE KEY-----\0-----END PRIVATE KEY-----",
        "if (password=readline()) {",
        "PASSWORD=%s",
        "TOKEN=${token}",
        "https://example.org:8080/path",
        '"password":"required"',
        "eyJust a text",
        "PASSWORD=REDACTEDREDACTED",
        "DB_PASSWORD=EDACTEDREDA",
        "PASSWORD=\0\0\0\0\0\0",
        "task-1234567890123456789012345678901234567890",
    ],
)
def test_what_is_no_credential(text: str) -> None:
    assert not found(text)


def test_every_rule_names_its_source_and_compiles() -> None:
    assert all(rule.source and rule.openings for rule in RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)

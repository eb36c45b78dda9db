"""What becomes of environment variables, in which people pass passwords."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.case.triage.environment import MASK, Environment, limited, masked
from dumpscan.exceptions import UsageError
from dumpscan.findings import Process

PROCESS = Process(pid=1, environment=("=C:=C:\\lab", "PATH=/bin", "DB_PASSWORD=hunter2"))


def test_how_much_is_kept() -> None:
    assert limited(PROCESS, Environment.KEPT) == PROCESS
    assert limited(PROCESS, Environment.LEFT_OUT).environment == ()
    assert limited(PROCESS, Environment.MASKED).environment == ("=C:=C:\\lab", "PATH=/bin", f"DB_PASSWORD={MASK}")


def test_two_options_say_it() -> None:
    assert Environment.chosen(keep=True, mask=False) is Environment.KEPT
    assert Environment.chosen(keep=True, mask=True) is Environment.MASKED
    assert Environment.chosen(keep=False, mask=False) is Environment.LEFT_OUT
    with pytest.raises(UsageError, match="one of them"):
        Environment.chosen(keep=False, mask=True)


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD",
        "db_password",
        "PGPASSWORD",
        "MYSQL_PWD",
        "SUDO_PASS",
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "API_KEY",
        "ApiKey",
        "MASTERKEY",
        "SSH_KEYS",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "Secret",
        "PASSPHRASE",
        "HTTP_AUTH",
    ],
)
def test_values_of_such_names_are_masked(name: str) -> None:
    assert masked(f"{name}=any thing = at all") == f"{name}={MASK}"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("postgres://app:hunter2@db.example/prod", f"postgres://app:{MASK}@db.example/prod"),
        ("https://:hunter2@host", f"https://:{MASK}@host"),
        ("Server=db;Uid=sa;Pwd=hunter2;Database=x", f"Server=db;Uid=sa;Pwd={MASK};Database=x"),
        ('Server=db;Password = "a;b";X=1', f"Server=db;Password = {MASK};X=1"),
        (
            "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=c2hvcnQ=;EndpointSuffix=y",
            f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={MASK};EndpointSuffix=y",
        ),
        ("https://host/path?sig=abc%2F&x=1", f"https://host/path?sig={MASK}&x=1"),
        ("Authorization: Bearer abc.def.ghi", f"Authorization: Bearer {MASK}"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END", MASK),
        ("ghp_9sT2mQx7Lk4vB8nRz1WcYd3EfGh5Ij6K", MASK),
        ("AKIA2OGYBAH6V3Q7XKTZ wJalrXUtnFEMI/K7MDENG3bPxRfiCYEXAMPLEKEY4", f"{MASK} wJalrXUtnFEMI/{MASK}"),
        ("x 5f4dcc3b5aa765d61d8327deb882cf99 y", f"x {MASK} y"),
    ],
)
def test_credentials_within_a_value_are_masked(value: str, kept: str) -> None:
    assert masked(f"X={value}") == f"X={kept}"


@pytest.mark.parametrize(
    "entry",
    [
        "Path=C:\\Windows\\system32;C:\\Program Files\\Microsoft SQL Server\\150\\Tools",
        "PWD=/home/alice",
        "OLDPWD=/home/bob",
        "PROCESSOR_IDENTIFIER=Intel64 Family 6 Model 142 Stepping 12, GenuineIntel",
        "LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:/opt/lib",
        "KEYBOARD=us",
        "APP_POOL_ID=DefaultAppPool",
        "APP_POOL_CONFIG=C:\\inetpub\\temp\\apppools\\DefaultAppPool\\DefaultAppPool.config",
        "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=true",
        "=C:=C:\\Windows",
        "EMPTY_PASSWORD=",
        "lonely",
        "URL=https://user@host:8080/path",
    ],
)
def test_what_is_no_credential_stays(entry: str) -> None:
    assert masked(entry) == entry


@given(st.text(st.characters(exclude_categories=()), max_size=80))
def test_any_entry(entry: str) -> None:
    kept = masked(entry)
    assert masked(kept).count(MASK) >= kept.count(MASK)
    at = entry.find("=", 1)
    assert kept.startswith(entry[: at + 1])


@pytest.mark.parametrize("piece", [" ", "a", "key=", "://a:", "PWD = ", "aA1", "'", "Bearer ", "-----BEGIN "])
def test_long_values_take_no_longer_than_their_length(piece: str) -> None:
    """Values are an attacker's. A pattern that went through one again and again would meet the suite's time limit."""
    entry = "X=" + piece * (1_000_000 // len(piece))
    assert masked(masked(entry)).startswith("X=")


@pytest.mark.parametrize(
    "entry",
    [
        *(f"{name}=hunter2" for name in ("SSHPASS", "dbpass", "keystorePass", "DB_PW", "ROOTPW", "DbPwd", "MY_CREDS")),
        *(f"{name}=hunter2" for name in ("OAUTH2", "AUTHORIZATION", "WIFI_PSK", "CARD_PIN", "TOTP_SEED", "Kennwort")),
        'CONFIG={"user": "a", "client_secret" : "hunter2"}',
        "CONFIG={'password': 'hunter2'}",
        'VCAP={"credentials":{"username":"u","password":"hunter2","uri":"mysql://u:hunter2@h"}}',
        "OPTS=-Xmx1g -Djavax.net.ssl.keyStorePassword=hunter2 -Dpw=hunter2",
        "OPTS=--user a --password hunter2",
        "OPTS=--header=X-Api-Key: hunter2",
        "OPTS=-u admin:hunter2",
        "NETRC_LINE=machine h login u password hunter2",
        "http_proxy=user:hunter2@proxy:8080",
        "DATABASE_URL=postgres://app:x@hunter2@db/prod",
        "JWS=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.hunter2",
    ],
)
def test_ways_to_write_a_credential(entry: str) -> None:
    kept = masked(entry)
    assert "hunter2" not in kept
    assert MASK in kept

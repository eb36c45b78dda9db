"""Test keys: the list is what the files that it names give, and keys in it are told from others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dumpscan.artifacts.keys.self_test_keys import carrier_of, lines, merged
from support.artifact_samples import key_id, rsa_key
from support.corpus import ROOT

OPENSSL = Path("/usr/bin/openssl")


def test_every_line_of_the_list_is_a_key_id_and_a_name() -> None:
    keys = [line for line in lines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[0-9a-f]{64} [a-z][ -~]+", line) for line in keys)
    assert len({line[:64] for line in keys}) == len(keys) >= 27
    assert merged(lines(), {}) == "\n".join(lines()) + "\n"


def test_a_test_key_is_named_and_others_are_not() -> None:
    assert carrier_of("7055066ee3969c25d66c1b891c252e83db653ae6834cd60e49250a4af73a97fe") == "openssl speed"
    assert carrier_of("b6362349fb07b79f2f91889f6afac92b637787e246221087169ff7dbcd65dc98") == "kernel testmgr"
    assert carrier_of(key_id(rsa_key(1024))) is None
    assert carrier_of(None) is None


def test_new_keys_join_the_list_and_known_ones_keep_their_names() -> None:
    text = merged(["# why", f"{'b' * 64} old"], {"a" * 64: "new", "b" * 64: "other"})
    assert text.splitlines() == ["# why", f"{'a' * 64} new", f"{'b' * 64} old"]


@pytest.mark.skipif(not OPENSSL.exists(), reason=f"no program at {OPENSSL}")
def test_the_list_is_made_of_installed_programs() -> None:
    """OpenSSL has keys in its `speed` command; another version may have more than are listed."""
    made = subprocess.run(
        [sys.executable, ROOT / ".ci" / "self_test_keys.py", f"openssl speed={OPENSSL}"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert set(lines()) <= set(made.stdout.splitlines())
    assert sum(line.endswith(" openssl speed") for line in made.stdout.splitlines()) > 0

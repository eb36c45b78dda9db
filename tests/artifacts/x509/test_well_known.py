"""The list of well-known authorities is whole, and grows only."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import certifi
import pytest

from dumpscan.artifacts.x509 import well_known
from dumpscan.artifacts.x509.well_known import authorities, is_well_known, merged

BUNDLE = Path(certifi.where()).read_bytes()


def test_every_root_of_certifi_is_known() -> None:
    listed = Path(well_known.__file__).with_name(well_known.FILE).read_text(encoding="ascii")
    if f"certifi-{version('certifi')}" not in listed:
        pytest.skip(f"certifi {version('certifi')} is not among the bundles of the list: `make well-known-cas`")
    found = authorities(BUNDLE)
    assert len(found) > 100
    assert all(map(is_well_known, found))


def test_an_authority_that_left_the_root_programs_is_known() -> None:
    """DST Root CA X3, SHA-256 of its key as published by Let's Encrypt for pinning; it expired in 2021."""
    assert is_well_known("563b3caf8cfef34c2335caf560a7a95906e8488462eb75ac59784830df9e5b2b")


def test_no_key_is_none() -> None:
    assert not is_well_known(None)
    assert not is_well_known("00" * 32)


def test_the_list_is_merged_and_keeps_what_it_had() -> None:
    old = ["# a remark", "#  certifi-1", f"{'11' * 32} Old Root"]
    text = merged(old, {"22" * 32: "New Root", "11" * 32: "Renamed"}, ["certifi-2"])
    assert text.splitlines()[2:] == ["#  certifi-1", "#  certifi-2", f"{'11' * 32} Old Root", f"{'22' * 32} New Root"]


def test_a_damaged_certificate_of_a_bundle_is_left_out() -> None:
    damaged = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    assert len(authorities(damaged + BUNDLE)) == len(authorities(BUNDLE))

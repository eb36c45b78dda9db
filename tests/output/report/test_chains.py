"""The report says who issued a certificate, what its key is for, and lets a reader find, filter and print it."""

from __future__ import annotations

import dataclasses
import io
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dumpscan.artifacts.x509.certificate import parse
from dumpscan.findings import Certificate
from dumpscan.output.report.chains import chain, issuers
from dumpscan.output.report.html import write_report
from support import output_samples as samples
from support import report_samples as cases

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.findings import Finding

SINCE, UNTIL = datetime(2024, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("Root", "Issuing", "www", "other")}


def name_of(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def made(subject: str, issuer: str, signer: str | None = None) -> Certificate:
    """A certificate; `signer` has the key that signs, by default the issuer's."""
    builder = x509.CertificateBuilder(
        name_of(issuer), name_of(subject), KEYS[subject].public_key(), x509.random_serial_number(), SINCE, UNTIL
    )
    purposes = [x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CODE_SIGNING]
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only"),
        False,
    )
    usage |= {"digital_signature": True, "key_cert_sign": True, "decipher_only": False}
    builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    data = builder.sign(KEYS[signer or issuer], hashes.SHA256()).public_bytes(Encoding.DER)
    found = dataclasses.replace(parse(data).finding, locations=(samples.place(0x1000, data),), location_count=1)
    assert isinstance(found, Certificate)
    return cases.in_dump(found)


ROOT, ISSUING, WEB = made("Root", "Root"), made("Issuing", "Root"), made("www", "Issuing")


def report(findings: Iterable[Finding]) -> str:
    stream = io.StringIO()
    write_report([cases.dump()], findings, stream, title="Incident 7", generated=cases.NOW)
    return stream.getvalue()


def test_a_chain_goes_up_to_what_signs_itself() -> None:
    found = issuers([WEB, ISSUING, ROOT])
    assert found == {
        WEB.thumbprint: ISSUING.thumbprint,
        ISSUING.thumbprint: ROOT.thumbprint,
        ROOT.thumbprint: ROOT.thumbprint,
    }
    assert chain(WEB.thumbprint, found) == (ISSUING.thumbprint, ROOT.thumbprint)
    assert chain(ROOT.thumbprint, found) == ()


def test_a_name_alone_makes_nobody_an_issuer() -> None:
    forged = made("www", "Issuing", signer="other")
    assert forged.thumbprint not in issuers([forged, ISSUING, ROOT])


def test_chains_that_never_end_are_cut() -> None:
    assert chain("A", {"A": "B", "B": "C", "C": "B"}) == ("B", "C")
    assert len(chain("0", {str(number): str(number + 1) for number in range(100)})) == 8


def test_what_cannot_be_parsed_has_no_issuer() -> None:
    broken = dataclasses.replace(WEB, der=WEB.der[:-1])
    assert issuers([broken, ISSUING]) == {}


def test_the_report_tells_chain_use_and_fingerprints() -> None:
    text = report([WEB, ISSUING, ROOT])
    row = text[text.index(f'id="cert-{WEB.thumbprint}"') :].split("</tr>")[0]
    words = re.sub(r"<[^>]*>", " ", row)
    assert "Chain in this case: Issuing &lsaquo; Root" in " ".join(words.split())
    assert f'href="#cert-{ISSUING.thumbprint}"' in row
    assert "For server authentication, code signing; key usage: digital signature, signing certificates" in words
    assert WEB.sha256.upper() in words
    assert WEB.thumbprint in words


def test_rows_have_the_classes_that_the_filter_asks_for() -> None:
    text = report(cases.findings())
    style = text[text.index("<style>") : text.index("</style>")]
    names = re.findall(r'id="filter-(\w+)"', text)
    assert names[0] == "all"
    for name in names[1:]:
        assert f"#filter-{name}:checked) .row:not(.{name})" in style
    assert text.count(" checked>") == 1
    web = next(found for found in cases.findings() if isinstance(found, Certificate))
    row = text[: text.index(f'id="cert-{web.thumbprint}"')].rpartition("<tr ")[2]
    assert {"row", "live", "exposed"} <= set(re.findall(r"\w+", row))


def test_the_index_leads_to_what_it_names() -> None:
    text = report([WEB, ISSUING, ROOT, *cases.findings()])
    index = text[text.index('<section id="index">') : text.index('<section id="record">')]
    links = re.findall(r'href="#([^"]+)">([^<]+)<', index)
    assert [name.casefold() for _, name in links] == sorted(name.casefold() for _, name in links)
    assert ("cert-" + WEB.thumbprint, "www") in links
    for anchor, _ in links:
        assert f'id="{anchor}"' in text


@pytest.mark.parametrize("rule", ["details::details-content", "thead { display: table-header-group; }"])
def test_paper_shows_what_is_folded(rule: str) -> None:
    style = report([])[: report([]).index("</style>")]
    printed = style[style.index("@media print") :]
    assert rule in printed
    assert ".filter { display: none; }" in printed


def test_every_cell_of_a_card_names_its_column() -> None:
    text = report([*cases.findings(), *cases.certificates(60)])
    for table in re.findall(r'<table class="[^"]*cards[^"]*">.*?</table>', text, re.DOTALL):
        assert not re.findall(r"<td(?![^>]*data-label)[^>]*>", table)

"""The report: leads with what is worst, holds no secret, shows hostile text as text, opens quickly however long."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import io
import itertools
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dumpscan.case.moments import At
from dumpscan.findings import PrivateKey, Process, Status
from dumpscan.output.report import model as report_model
from dumpscan.output.report.html import write_report
from dumpscan.output.report.rows import certificate_row
from dumpscan.output.report.texts import remaining
from dumpscan.output.report.timeline import MAX_BARS, Timeline
from support import output_samples as samples
from support import report_samples as cases

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from dumpscan.case.records import DumpRecord
    from dumpscan.findings import Finding

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
VOID = {"meta", "br", "col", "line", "rect", "use", "input"}


class Page(HTMLParser):
    """What a browser would see of a page: its tags, their attributes, its text, and what stands in closed details."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.visible_rows = 0
        self.style = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            closed = tag == "details" and "open" not in dict(attrs)
            self.open.append("closed details" if closed else tag)
        self.visible_rows += tag == "tr" and "closed details" not in self.open

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            opened = self.open.pop()
            assert opened.rpartition(" ")[2] == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def report(
    dumps: Iterable[DumpRecord] | None = None,
    findings: Iterable[Finding] | None = None,
    *,
    title: str = "Incident 7",
    version: str = "0.5.0",
    settings: Mapping[str, object] | None = None,
) -> str:
    stream = io.StringIO()
    write_report(
        cases.dumps() if dumps is None else dumps,
        cases.findings() if findings is None else findings,
        stream,
        title=title,
        generated=cases.NOW,
        version=version,
        settings=settings,
    )
    return stream.getvalue()


def test_leads_with_the_worst() -> None:
    page = Page(report())
    assert page.open == []
    assert page.text.index("1 private key with a valid certificate lay readable") < page.text.index("Worst first")
    worst = page.text[page.text.index("Worst first") : page.text.index("Exposed private keys")]
    order = ["www.contoso.example", "vpn.contoso.example", "X25519 key, no certificate found"]
    assert sorted(order, key=worst.index) == order
    until = f"2027-03-01 ({(datetime(2027, 3, 1, tzinfo=UTC) - cases.NOW).days} days left)"
    for word in ("Critical", "High", "Medium", "w3wp.exe (5120)", samples.DUMP, until):
        assert word in worst


def test_a_card_tells_of_key_certificate_process_place_and_proof() -> None:
    page = Page(report())
    (key,) = [found for found in cases.findings() if isinstance(found, PrivateKey) and found.algorithm == "RSA"]
    cards = page.text[page.text.index("Exposed private keys") :]
    card = cards[cards.index("www.contoso.example") : cards.index("High")]
    assert samples.PROCESS.command_line is not None
    for word in (
        key.key_id,
        key.certificates[0].thumbprint,
        "Issued by Contoso Issuing CA 2",
        "running since 2024-06-11 09:30 UTC",
        " ".join(samples.PROCESS.command_line.split()),
        "n = p*q",
        "3 places in memory, as pkcs8, pkcs1, cng",
        *(hex(place.virtual_address or 0) for place in key.locations),
    ):
        assert word in card


def test_says_what_was_not_read_and_why() -> None:
    text = Page(report()).text
    assert "1 input could not be read and 1 input could be read only in part" in text
    gaps = text[text.index("Inputs that were not read whole 3") :]
    reasons = ["permission denied", "memory list cut short", "text"]
    assert sorted(reasons, key=gaps.index) == reasons


def test_records_inputs_versions_and_settings() -> None:
    text = Page(report(settings={"case file": "case.db"})).text
    for dump in cases.dumps():
        assert dump.path in text
        assert (dump.sha256 or "not computed") in text
    for word in ("0.5.0", "case.db", "/srv/symbols", "56,767,561", "2025-05-30 18:12 UTC"):
        assert word in text


def test_holds_no_key_material() -> None:
    text = report()
    secrets = [samples.AES_KEY]
    secrets += [found.pkcs8[-40:] for found in cases.findings() if isinstance(found, PrivateKey)]
    for secret in secrets:
        assert secret.hex() not in text.lower()
        assert base64.b64encode(secret).decode() not in text
    assert "EMPTY=" not in text  # nor environments


def test_is_self_contained() -> None:
    text = report()
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    targets = {value for _, name, value in page.attributes if name in {"href", "src", "xlink:href", "action"}}
    assert all(target.startswith("#") for target in targets)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {target[1:] for target in targets} <= set(ids)
    assert not any(name == "style" or name.startswith("on") for _, name, _ in page.attributes)
    assert "url(" not in page.style
    assert "@import" not in page.style
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    (policy,) = [value for _, name, value in page.attributes if name == "content" and "default-src" in value]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")


def test_is_accessible_in_its_bones() -> None:
    page = Page(report())
    assert page.tags.count("h1") == 1
    assert page.tags.count("caption") == page.tags.count("table")
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_same_case_gives_the_same_bytes_in_whatever_order() -> None:
    assert report() == report(cases.dumps()[::-1], cases.findings()[::-1])


def test_a_key_in_one_dump_and_its_certificate_in_another_are_a_pair() -> None:
    certificate = cases.in_dump(samples.certificate(samples.ec_key(), "far.example", 0x1000, paired=False))
    other = cases.FOLDER + "server01.raw"
    key = cases.in_dump(samples.private_key(samples.ec_key(), "EC", {0x2000: "sec1"}), other)
    text = Page(report(findings=[key, certificate])).text
    assert "1 private key with a valid certificate lay readable in memory" in text
    assert "far.example" in text[text.index("Worst first") : text.index("Exposed private keys")]


def test_says_so_when_there_is_nothing() -> None:
    text = Page(report([], [])).text
    assert "No private key was found" in text
    assert "Nothing exposed" in text
    assert "Certificates 0" in text


def test_only_containers() -> None:
    text = Page(report(findings=[cases.in_dump(samples.container())])).text
    assert "No readable private key was found, but 1 password-protected container" in text
    assert "PKCS#12" in text


def test_processes_of_key_holders_come_first() -> None:
    holder = Process(pid=32, name="svchost8.exe")
    path = cases.FOLDER + "server01.raw"
    key = cases.in_dump(samples.private_key(samples.ec_key(), "EC", {0x2000: "sec1"}), path, holder)
    text = Page(report(findings=[key])).text
    processes = text[text.index("A command line may itself") :]
    assert processes.index("svchost8.exe private key") < processes.index("svchost1.exe")
    assert "svchost.exe -k group8" in text[: text.index("A command line may itself")]


HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "a\u202egnp.exe\u2066\u200b",
    "\x1b]0;title\x07\x00\r\n\x9b31m",
    "{{ 7*7 }}{% raw %}",
    "\ud800 lone",
    "</style></title><!--",
    "&lt;b&gt; &#60;",
)


def hostile_page(text: str) -> str:
    base = samples.certificate(samples.ec_key(), "x", 0x1000)
    certificate = dataclasses.replace(cases.named(base, text), key_id=base.key_id, issuer=text)
    process = Process(pid=7, name=text, command_line=text, executable=text, notes=(text,))
    dump = cases.dump(
        f"/evidence/{text}",
        processes=(process,),
        problems=(text,),
        status=Status.DAMAGED,
        format=text,
        settings={text: text},
        tool_version=text,
    )
    key = samples.private_key(samples.ec_key(), "EC", {0x1000: text}, certificate)
    refused = dataclasses.replace(samples.raw_certificate(), problem=text)
    container = dataclasses.replace(samples.container(), cipher=text, kdf=text, container=text)
    public = dataclasses.replace(samples.public_key(samples.rsa_key(), 0x9000), algorithm=text, proof=(text,))
    findings = [cases.in_dump(found, dump.path, process) for found in (certificate, key, refused, container, public)]
    places = tuple(dataclasses.replace(place, module=text) for place in findings[1].locations)
    findings[1] = dataclasses.replace(findings[1], locations=places)
    return report([dump], findings, title=text, version=text, settings={text: text})


def check_hostile(text: str) -> None:
    page = hostile_page(text)
    assert all(character.isprintable() or character == "\n" for character in page)
    page.encode()
    seen, plain = Page(page), Page(hostile_page("harmless"))
    assert seen.open == []
    assert set(seen.tags) <= set(plain.tags)
    assert {(tag, name) for tag, name, _ in seen.attributes} <= {(tag, name) for tag, name, _ in plain.attributes}
    assert seen.tags.count("tr") == plain.tags.count("tr")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text(text: str) -> None:
    check_hostile(text)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet=st.characters(exclude_categories=()), min_size=1, max_size=60).map(lambda text: f"x{text}y"))
def test_any_text_is_shown_as_text(text: str) -> None:
    check_hostile(text)


def test_a_subject_that_is_a_script_is_there_to_be_read() -> None:
    script = cases.named(cases.certificates(1)[0], "<script>alert(1)</script>")
    text = report(findings=[script])
    assert "<script" not in text
    assert "<script>alert(1)</script>" in Page(text).text
    bidi = Page(report(findings=[cases.named(script, "moc.\u202eevil")])).text
    assert "moc.\\u202eevil" in bidi


def test_long_texts_are_cut_and_said_to_be() -> None:
    long = "A" * 1_000_000
    certificate = dataclasses.replace(cases.named(cases.certificates(1)[0], long), alternative_names=(long,) * 50)
    dump = cases.dump(processes=(Process(pid=1, name=long, command_line=long),), problems=(long,) * 500)
    text = report([dump], [certificate])
    assert len(text) < 200_000
    assert "1000000 characters in all" in text


def test_ten_thousand_findings_stay_light() -> None:
    found = [*cases.findings(), *cases.certificates(10_000)]
    text = report(findings=found)
    page = Page(text)
    assert len(text) < 10_000_000
    assert page.visible_rows < 400
    assert all(certificate.thumbprint in text for certificate in cases.certificates(10_000)[::997])
    assert "21-270 of 10,000" in page.text


def test_many_private_keys_are_rows_after_the_first() -> None:
    base = cases.in_dump(samples.private_key(samples.ec_key(), "EC", {0x2000: "sec1"}))
    keys = [dataclasses.replace(base, key_id=hashlib.sha256(f"{n}".encode()).hexdigest()) for n in range(500)]
    text = report(findings=keys)
    page = Page(text)
    assert page.tags.count("article") == report_model.MAX_CARDS
    assert "The 10 worst of 500 private keys" in page.text
    assert all(key.key_id in text for key in keys)


def test_places_are_capped_with_their_count() -> None:
    base = cases.in_dump(samples.private_key(samples.ec_key(), "EC", {0x2000: "sec1"}))
    places = tuple(
        dataclasses.replace(base.locations[0], virtual_address=0x10000 + number, process=Process(pid=number))
        for number in range(200)
    )
    text = Page(report(findings=[dataclasses.replace(base, locations=places, location_count=70_000)])).text
    assert "the first 12 of 70,000 places" in text
    assert "and 192 more" in text


def test_what_is_left_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_model, "MAX_ROWS", 50)
    text = Page(report(findings=cases.certificates(80))).text
    assert "30 further certificates are not in this report" in text
    assert "21-50 of 80" in text


moments = st.one_of(st.none(), st.datetimes(timezones=st.just(UTC)))


@settings(deadline=None)
@example([], datetime(9999, 12, 31, tzinfo=UTC))
@example([], datetime(1, 1, 1, tzinfo=UTC))
@given(st.lists(st.tuples(moments, moments), max_size=60), st.datetimes(timezones=st.just(UTC)))
def test_the_time_line_stays_within_its_bounds(
    periods: list[tuple[datetime | None, datetime | None]], now: datetime
) -> None:
    base = cases.certificates(1)[0]
    rows = [
        certificate_row(dataclasses.replace(base, not_before=since, not_after=until), now, str)
        for since, until in periods
    ]
    line = Timeline.of(rows, now)
    good = [row for row in rows if row.since and row.until and row.since <= row.until]
    assert line.total == len(good)
    assert len(line.bars) == min(len(good), MAX_BARS)
    assert 0 <= line.now <= 100
    for bar in line.bars:
        assert bar.left >= 0
        assert bar.width > 0
        assert bar.left + bar.width <= 100.01
    assert len(line.ticks) <= 12
    assert all(0 <= position <= 100 for position, _ in line.ticks)


def test_a_bar_spans_the_now_line_exactly_while_valid() -> None:
    base = cases.certificates(1)[0]
    for days, spans in ((-400, False), (-1, False), (1, True), (400, True)):
        until = cases.NOW + timedelta(days=days)
        row = certificate_row(
            dataclasses.replace(base, not_before=cases.NOW - timedelta(days=800), not_after=until), cases.NOW, str
        )
        line = Timeline.of([row], cases.NOW)
        (bar,) = line.bars
        assert (bar.left < line.now < bar.left + bar.width) is spans


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_ten_thousand_findings(tmp_path: Path) -> None:
    script = cases.named(cases.certificates(1)[0], "<script>document.title='run'</script>", -1)
    path = tmp_path / "report.html"
    path.write_text(report(findings=[*cases.findings(), script, *cases.certificates(9_990)]), encoding="utf-8")
    browser = [
        str(CHROMIUM),
        *("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"),
        *("--dump-dom", path.as_uri()),
    ]
    shown = subprocess.run(browser, capture_output=True, check=True).stdout.decode()
    assert "<title>Incident 7</title>" in shown
    assert "<script" not in shown
    text = html.unescape(re.sub(r"<[^>]*>", "", shown))
    assert "<script>document.title='run'</script>" in text
    assert "host09989.example" in text
    assert "1 private key with a valid certificate lay readable in memory" in text


def test_an_unproven_key_is_no_exposed_one() -> None:
    key = dataclasses.replace(samples.private_key(samples.ec_key(), "EC", {0x1000: "raw"}), proof=())
    text = report(cases.dumps(), [cases.in_dump(key)])
    assert "No private key was found" in text
    assert "1 unproven" in text
    assert "nothing was found to check it against" in text
    assert Page(text).tags.count("article") == 0


@pytest.mark.parametrize(
    ("lost", "read", "said"),
    [
        (4, 0, "Not complete 4 of 4 inputs were not read No private key was found in any of them."),
        (1, 3, "Not complete 1 of 4 inputs was not read No private key was found in the others."),
    ],
)
def test_inputs_that_were_not_read_are_no_good_news(lost: int, read: int, said: str) -> None:
    dumps = [cases.dump(f"/evidence/{number}.zip", status=Status.UNREADABLE) for number in range(lost)]
    dumps += [cases.dump(f"/evidence/{number}.dmp") for number in range(read)]
    text = report(dumps, [])
    assert said in Page(text).text
    assert 'class="verdict medium"' in text
    assert "Nothing exposed" not in text


def test_a_dump_read_in_part_is_no_good_news_either() -> None:
    text = report([cases.dump(status=Status.DAMAGED), cases.dump("/evidence/other.dmp")], [])
    assert "Not complete 1 of 2 inputs was read only in part No private key was found." in Page(text).text
    assert 'class="verdict good"' not in text


def test_the_last_second_of_9999_is_no_end() -> None:
    assert remaining(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), cases.NOW) == "no end"
    assert remaining(datetime(9999, 12, 31, 23, 59, 58, tzinfo=UTC), cases.NOW).endswith(" days left")


def test_an_exposed_key_leads_whatever_was_not_read() -> None:
    text = report([*cases.dumps(), cases.dump("/evidence/locked.zip", status=Status.UNREADABLE)])
    assert 'class="verdict critical"' in text
    assert "2 inputs could not be read and 1 input could be read only in part" in Page(text).text


def test_what_was_valid_when_captured_is_said() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    stream = io.StringIO()
    write_report(
        [cases.dump(captured=datetime(2025, 5, 30, tzinfo=UTC))], cases.findings(), stream, title="Then", generated=now
    )
    text = Page(stream.getvalue()).text
    assert "valid when captured (2025-05-30), expired now" in text
    assert 'class="verdict critical"' in stream.getvalue()
    assert "certificates are judged by the time at which each dump was made and by 2030-01-01 00:00 UTC" in text
    judged = io.StringIO()
    write_report(
        [cases.dump(captured=datetime(2025, 5, 30, tzinfo=UTC))],
        cases.findings(),
        judged,
        title="Now",
        generated=now,
        at=At.on(now),
    )
    assert "when captured" not in judged.getvalue()
    assert 'class="verdict high"' in judged.getvalue()

"""Comments that cite docs/memory-layouts.md name headings that exist, and cite nothing outside of the repository."""

from __future__ import annotations

import re

import pytest

from support.corpus import ROOT

LAYOUTS = ROOT / "docs" / "memory-layouts.md"
HEADINGS = set(re.findall(r"^#{2,3} (.+)$", LAYOUTS.read_text(encoding="utf-8"), re.MULTILINE))
SOURCES = sorted([*(ROOT / "dumpscan").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
CITATION = re.compile(r"docs/memory-layouts\.md`?,\s+(?:#\s+)?\"([^\"]+)\"")
MARK = re.compile(r"field guide|\[(?:hdr|vol|doc|inf)\]", re.IGNORECASE)


def citations() -> list[tuple[str, str]]:
    found = []
    for path in SOURCES:
        text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
        found += [(str(path.relative_to(ROOT)), heading) for heading in CITATION.findall(text)]
    return found


def test_there_are_citations() -> None:
    assert len(citations()) >= 10


@pytest.mark.parametrize(("path", "heading"), citations())
def test_a_cited_heading_is_there(path: str, heading: str) -> None:
    assert heading in HEADINGS, path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_marks_that_nothing_explains(path: object) -> None:
    text = path.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    assert not MARK.search(text)


def test_every_mention_of_the_file_is_a_citation() -> None:
    """A mention in another form would not be compared with the headings."""
    for path in SOURCES:
        text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
        assert len(CITATION.findall(text)) == text.count("memory-layouts.md"), path

from __future__ import annotations

import pytest

from dumpscan.output.formats.table.sections import holder_name, process_name


@pytest.mark.parametrize(
    ("place", "name", "holder"),
    [
        ({"process": {"pid": 7, "name": "nginx"}, "page": {"owner": "anonymous"}}, "7 nginx", "7 nginx"),
        ({"page": {"owner": "free"}}, "free memory", "free memory"),
        ({"page": {"owner": "slab"}}, "slab", "slab"),
        (
            {"page": {"owner": "page cache", "file": {"path": "/a b", "offset": 0}}},
            "page cache: /a b",
            "page cache: /a b",
        ),
        (
            {"page": {"owner": "deleted file", "file": {"inode": 9, "filesystem": "ext4 on vda", "offset": 0x1234}}},
            "deleted file: inode 9 of ext4 on vda",
            "deleted file: inode 9 of ext4 on vda, offset 0x1234",
        ),
        ({}, "", ""),
    ],
)
def test_whose_a_place_is(place: dict[str, object], name: str, holder: str) -> None:
    assert process_name(place) == name
    assert holder_name(place) == holder

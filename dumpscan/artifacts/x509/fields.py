"""What a certificate says, read with `cryptography`; where that refuses it, read as far as it can be.

`cryptography` parses a certificate as a whole, and some of its fields only when they are asked for. A certificate that
it refuses is taken apart and read part by part.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cryptography import x509

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.x509.odd_parts import ODD_READERS, read_part
from dumpscan.artifacts.x509.parts import Parts, take_apart, take_apart_head
from dumpscan.artifacts.x509.readers import ERRORS, READERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.x509.readers import Fields

_MOST_COMPLAINT = 400


def read_whole(data: bytes) -> tuple[Fields, str | None] | None:
    """Read what the certificate that fills `data` says; None if the parser refuses it as a whole.

    Returns:
        Fields of `Certificate`, as many as could be read, and the complaints of the parser, if any.
    """
    with _gathered_complaints() as complaints:
        try:
            whole = x509.load_der_x509_certificate(data)
        except ERRORS:
            return None
        fields = _read_whole(whole, data, complaints)
    return fields, complaints.said


def read_part_by_part(data: bytes) -> tuple[Fields, str | None]:
    """As `read_whole`, for a certificate that the parser refuses.

    Raises:
        RefusedError: If it is not exactly one certificate.
    """
    with _gathered_complaints() as complaints:
        try:
            x509.load_der_x509_certificate(data)
        except ERRORS as error:
            complaints.add(str(error))
        fields = _read_parts(take_apart(data), complaints)
    return fields, complaints.said


def read_fields_of_head(data: bytes) -> tuple[Fields, str | None]:
    """Read what a certificate says that `data` is the beginning of (see `take_apart_head`)."""
    with _gathered_complaints() as complaints:
        fields = _read_parts(take_apart_head(data), complaints)
    return fields, complaints.said


class _Complaints:
    """Gathers what the parser says of a certificate."""

    def __init__(self) -> None:
        self._said: dict[str, None] = {}

    def add(self, text: str, part: str = "") -> None:
        """Note what was said of a part; what was said of the whole already is not said again."""
        text = " ".join(text.split())
        if text not in self._said:
            self._said[f"{part.replace('_', ' ')}: {text}" if part else text] = None

    @property
    def said(self) -> str | None:
        """All of it."""
        return "; ".join(self._said)[:_MOST_COMPLAINT] or None


@contextmanager
def _gathered_complaints() -> Iterator[_Complaints]:
    """Gather complaints; the parser's warnings are among them in the end, and go no further."""
    complaints = _Complaints()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield complaints
    for warning in warned:
        complaints.add(str(warning.message).partition(". ")[0])


def _read_whole(whole: x509.Certificate, data: bytes, complaints: _Complaints) -> Fields:
    fields: Fields = {"version": whole.version.value + 1, "serial_number": f"{whole.serial_number:X}"}
    for part, read in READERS.items():
        try:
            fields |= read(whole)
        except ERRORS as error:
            complaints.add(str(error), part)
            with suppress(RefusedError):
                fields |= ODD_READERS[part](take_apart(data)) if part in ODD_READERS else {}
    return fields


def _read_parts(parts: Parts, complaints: _Complaints) -> Fields:
    fields: Fields = {"version": parts.version, "serial_number": f"{parts.serial_number:X}"}
    for part in READERS:
        if getattr(parts, part) is None:
            continue
        try:
            fields |= read_part(part, parts)
        except ERRORS as error:
            complaints.add(str(error), part)
            with suppress(RefusedError):
                fields |= ODD_READERS[part](parts) if part in ODD_READERS else {}
    return fields

"""Archives of files that are given by their names, as bytes."""

from __future__ import annotations

import io
import tarfile
import zipfile
from typing import Any

import py7zr


def tar_of(files: dict[str, bytes], kind: int = tarfile.DEFAULT_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def seven_zip_of(files: dict[str, bytes], *, pack_header: bool = True, **options: Any) -> bytes:  # noqa: ANN401 - py7zr's
    """Pack files; a header that is not packed can be changed."""
    out = io.BytesIO()
    with py7zr.SevenZipFile(out, "w", **options) as archive:
        if not pack_header:
            archive.set_encoded_header_mode(False)
        for name, content in files.items():
            archive.writestr(content, name)
    return out.getvalue()

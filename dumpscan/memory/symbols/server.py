"""Downloads a kernel's PDB from Microsoft's symbol server, if the user asks for it, and makes a table from it."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING

from dumpscan.exceptions import DumpscanError
from dumpscan.memory.packed.scratch import ScratchDirectory
from dumpscan.memory.symbols.files import MAX_FILE_BYTES, TableIdentity, add_tables
from dumpscan.memory.symbols.pdb import SYMBOL_SERVER
from dumpscan.memory.symbols.store import user_store

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.memory.symbols.pdb import PdbRecord

_TIMEOUT = 30.0
"""Seconds without any answer."""


def download(pdb: PdbRecord, *, server: str = SYMBOL_SERVER) -> Path:
    """Download a PDB, convert it with volatility3, and put the table into the user's store.

    Args:
        pdb: Which one.
        server: Address of the symbol server.

    Returns:
        The table's file.

    Raises:
        DumpscanError: It cannot be downloaded, or is not a PDB.
    """
    address = f"{server}/{pdb.server_path}"
    try:
        # An opener of its own: volatility3 installs one for the whole program that refuses all networks.
        with urllib.request.build_opener().open(address, timeout=_TIMEOUT) as answer:
            data = answer.read(MAX_FILE_BYTES + 1)
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        raise DumpscanError(f"{address}: cannot be fetched: {getattr(error, 'reason', error)}") from error
    with ScratchDirectory() as directory:
        path = directory.path / pdb.name
        path.write_bytes(data)
        added, _ = add_tables(path, user_store())
    found = added[0]
    identity = found.identity
    if not isinstance(identity, TableIdentity):
        raise DumpscanError(f"{address}: is no PDB")
    if (identity.guid, identity.age) != (pdb.guid, pdb.age):
        raise DumpscanError(f"{address}: is another PDB, GUID {identity.guid}, age {identity.age}")
    return found.path

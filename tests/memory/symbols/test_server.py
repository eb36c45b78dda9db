from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import DumpscanError
from dumpscan.memory.symbols.pdb import PdbRecord
from dumpscan.memory.symbols.server import download
from support.pdb_bytes import GUID, build_pdb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WANTED = PdbRecord("ntkrnlmp.pdb", GUID, 1)
FILES = {
    f"/ntkrnlmp.pdb/{GUID}1/ntkrnlmp.pdb": build_pdb(),
    f"/other.pdb/{'A' * 32}1/other.pdb": build_pdb(name="other.pdb"),
    f"/html.pdb/{GUID}1/html.pdb": b"<html>sign in first</html>",
}


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        data = FILES.get(self.path)
        self.send_response(404 if data is None else 200)
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("DUMPSCAN_SYMBOLS", str(tmp_path / "store"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "store"


def test_a_table_is_fetched_and_kept(server: str, store: Path) -> None:
    assert download(WANTED, server=server) == store / "windows" / "ntkrnlmp.pdb" / f"{GUID}-1.json.xz"


@pytest.mark.parametrize(
    ("pdb", "problem"),
    [
        (PdbRecord("ntkrnlmp.pdb", "F" * 32, 1), "cannot be fetched"),
        (PdbRecord("other.pdb", "A" * 32, 1), f"is another PDB, GUID {GUID}, age 1"),
        (PdbRecord("html.pdb", GUID, 1), "is no symbol table"),
    ],
)
def test_what_is_not_there_or_another_is_an_error(server: str, pdb: PdbRecord, problem: str) -> None:
    with pytest.raises(DumpscanError, match=problem):
        download(pdb, server=server)


def test_without_a_network() -> None:
    with pytest.raises(DumpscanError, match="cannot be fetched"):
        download(WANTED, server="http://127.0.0.1:1")

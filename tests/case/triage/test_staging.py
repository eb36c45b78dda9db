from __future__ import annotations

import functools
import http.server
import threading
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.case.store.reader import Case
from dumpscan.case.store.writer import CaseWriter
from dumpscan.case.triage.inputs import list_inputs
from dumpscan.case.triage.run import TriageOutcome, triage
from dumpscan.case.triage.staging import is_url, staged
from dumpscan.case.triage.task import ReadSettings
from dumpscan.case.triage.workers import Here, Pool, Workers
from dumpscan.exceptions import DumpscanError, InputError
from support.corpus import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dumpscan.findings import Status

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed (extra `remote`)")
SAMPLE = ROOT / "sample_dumps" / "webserver.dmp"


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    root = tmp_path / "served"
    root.mkdir()
    (root / "a.dmp").write_bytes(SAMPLE.read_bytes())
    (root / "notes.txt").write_text("nothing")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()
        thread.join()


def run(case: Path, *names: str, workers: Workers | None = None, **settings: object) -> TriageOutcome:
    with CaseWriter.open(case) as writer:
        return triage(writer, names, ReadSettings(**settings), workers=workers or Here())  # type: ignore[arg-type]


def statuses(case: Path) -> dict[str, Status]:
    with Case.open(case) as opened:
        return {dump.path: dump.status for dump in opened.dumps()}


def test_what_is_a_url() -> None:
    assert is_url("s3://bucket/key")
    assert is_url("memory://x")
    for path in ("/a://b", "C:\\x", "relative/x", "://x", "a b://c"):
        assert not is_url(path)


def test_dumps_in_memory_file_system(memory: Any, tmp_path: Path) -> None:  # noqa: ANN401 - fsspec has no types
    memory.pipe("/wer/one/a.dmp", SAMPLE.read_bytes())
    memory.pipe("/wer/empty", b"")
    memory.pipe("/wer/big.zip", b"PK\x03\x04" + bytes(1000))
    case, scratch = tmp_path / "case.db", tmp_path / "scratch"
    scratch.mkdir()
    assert run(case, "memory://wer", scratch=str(scratch)).read == 3
    assert {path.rpartition("/")[2]: status.value for path, status in statuses(case).items()} == {
        "a.dmp": "ok",
        "empty": "other",
        "big.zip": "other",
    }
    assert list(scratch.iterdir()) == []
    with Case.open(case) as opened:
        key = next(iter(opened.findings("private_key")))
        assert is_url(key.locations[0].file)
        assert key.locations[0].file.endswith("/wer/one/a.dmp")
        assert opened.dump(key.locations[0].file)
    assert run(case, "memory://wer").read == 0
    memory.pipe("/wer/one/a.dmp", SAMPLE.read_bytes()[:-8])
    assert run(case, "memory://wer").read == 1


@pytest.mark.parametrize("workers", [Here(), Pool(1)], ids=["here", "pool"])
def test_dumps_behind_http(server: str, tmp_path: Path, workers: Workers) -> None:
    pytest.importorskip("aiohttp", reason="aiohttp is not installed (extra `remote`)")
    case = tmp_path / "case.db"
    names = (f"{server}/a.dmp", f"{server}/notes.txt", f"{server}/absent.dmp")
    outcome = run(case, *names, workers=workers)
    assert [statuses(case)[name].value for name in names] == ["ok", "other", "unreadable"]
    assert outcome.named_others == (names[1],)
    with Case.open(case) as opened:
        assert len(list(opened.findings("private_key"))) == 3
    assert run(case, *names, workers=workers).read == 0


def test_a_dump_that_is_too_large_is_not_fetched(memory: Any, tmp_path: Path) -> None:  # noqa: ANN401 - see above
    memory.pipe("/a.dmp", SAMPLE.read_bytes())
    with pytest.raises(InputError, match="may be fetched"), staged("memory://a.dmp", None, str(tmp_path), 1000):
        pass
    with pytest.raises(InputError, match="may be fetched"), staged("memory://a.dmp", 2000, str(tmp_path), 1000):
        pass
    assert list(tmp_path.iterdir()) == []


def test_no_room(memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 - see above
    memory.pipe("/a.dmp", SAMPLE.read_bytes())
    monkeypatch.setattr("dumpscan.case.triage.staging._SPARED", 1 << 62)
    with pytest.raises(InputError, match="no room"), staged("memory://a.dmp", None, str(tmp_path), 1 << 30):
        pass


def test_an_unknown_protocol() -> None:
    (each,) = list_inputs(["nonsense://x"])
    assert "cannot be reached" in str(each.unusable)


def test_without_fsspec_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("dumpscan.case.triage.staging.import_module", absent)
    with pytest.raises(DumpscanError, match=r"dumpscan\[remote\]"):
        list(list_inputs(["memory://x"]))

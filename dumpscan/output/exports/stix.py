"""A case as a bundle of STIX 2.1 objects (OASIS standard of 10 June 2021), made by the `stix2` library.

Certificates are `x509-certificate`, dumps `file` (in a `directory`), processes `process`; an `observed-data` for each
dump ties together what lay in it. STIX has no object for a private key: a `note` describes each, and refers to its
certificates, processes and dumps. All ids follow from the content, so that the same case gives the same bundle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dumpscan._version import __version__
from dumpscan.exceptions import UsageError
from dumpscan.findings import Certificate, PrivateKey
from dumpscan.output.exports.documents import EPOCH, clean, describe, stable_uuid
from dumpscan.output.labels import base_name
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from typing import TextIO

    from dumpscan.case.records import DumpRecord
    from dumpscan.findings import Finding, Location, Process

try:
    import stix2
except ModuleNotFoundError as error:
    raise UsageError("STIX needs the stix2 library, which is not installed: pip install dumpscan[stix]") from error

_INTEGER = 1 << 53
"""Integers in STIX are smaller (section 2.8)."""

_FIRST_YEAR = 1000
"""The library writes earlier years without leading zeros, and cannot read them back."""

_MAX_NAMES = 100
"""Alternative names that are written for one certificate."""


def write_bundle(dumps: Sequence[DumpRecord], findings: Iterable[Finding], stream: TextIO) -> int:
    """Write a case as one bundle, an object a line; return how many objects it has.

    Raises:
        OSError: The stream cannot take it.
    """
    return _Bundle(dumps, stream).write(findings)


class _Bundle:
    """Writes each object once, as soon as it is known, and keeps only its id."""

    def __init__(self, dumps: Sequence[DumpRecord], stream: TextIO) -> None:
        self._dumps = dumps
        self._stream = stream
        self._written: set[str] = set()
        self._files: dict[str, str] = {}
        self._processes: dict[tuple[str, int | None], str] = {}
        self._observed: dict[str, dict[str, None]] = {}
        self._certificates: dict[str, str] = {}
        self._made = max((dump.finished for dump in dumps if dump.finished.year >= _FIRST_YEAR), default=EPOCH)
        self._author = self._sdo(
            stix2.Identity, "dumpscan", name="dumpscan", identity_class="system", description=f"dumpscan {__version__}"
        )

    def write(self, findings: Iterable[Finding]) -> int:
        identity = [(dump.path, dump.sha256, dump.finished) for dump in self._dumps]
        self._stream.write(f'{{"type": "bundle", "id": "bundle--{stable_uuid(repr(identity))}", "objects": [')
        self._add(self._author)
        for dump in self._dumps:
            self._add_file(dump.path, dump)
            self._add_processes(dump)
        keys = []
        for finding in findings:
            match finding:
                case Certificate():
                    self._add_certificate(finding)
                case PrivateKey() if finding.proven:
                    keys.append(finding)
        for key in keys:
            self._add_key(key)
        for path, references in self._observed.items():
            self._add_observation(path, list(references))
        self._stream.write("\n]}\n")
        return len(self._written)

    def _add(self, item: Any) -> str:  # noqa: ANN401 - any of the library's classes
        """Write an object if it has not been written yet; return its id."""
        identity = str(item["id"])
        if identity not in self._written:
            self._stream.write(f"{',' if self._written else ''}\n{item.serialize()}")
            self._written.add(identity)
        return identity

    def _sdo(self, make: Any, identity: str, **fields: Any) -> Any:  # noqa: ANN401 - as above
        """Make a domain object, whose id follows from its identity; its times are those of the case."""
        own = f"{make._type}--{stable_uuid(identity)}"  # noqa: SLF001 - the type's name is nowhere else
        return make(id=own, created=self._made, modified=self._made, **_given(fields))

    def _add_file(self, path: str, dump: DumpRecord | None = None) -> str:
        if path not in self._files:
            name = base_name(path)
            folder = path[: len(path) - len(name)].rstrip("/\\") or "/"
            directory = self._add(stix2.Directory(path=clean(folder)))
            fields: dict[str, Any] = {"name": name or "(no name)", "parent_directory_ref": directory}
            if dump is not None:
                fields["size"] = dump.size if dump.size is not None and dump.size < _INTEGER else None
                fields["hashes"] = {"SHA-256": dump.sha256} if dump.sha256 else None
                fields["mtime"] = _moment(dump.modified)
            self._files[path] = self._add(stix2.File(**_given(fields)))
            self._observed[path] = {self._files[path]: None}
        return self._files[path]

    def _add_processes(self, dump: DumpRecord) -> None:
        ids = {process.pid: _process_id(dump.path, process) for process in dump.processes if process.pid is not None}
        for process in dump.processes:
            parent = None if process.parent_pid is None else ids.get(process.parent_pid)
            self._add_process(dump.path, process, parent)

    def _add_process(self, path: str, process: Process, parent: str | None = None) -> str | None:
        """Write a process; return its id, or None if nothing is known of it."""
        known = self._processes.get((path, process.pid))
        if known is not None:
            return known
        own = _process_id(path, process)
        fields = {
            "pid": process.pid if process.pid is not None and abs(process.pid) < _INTEGER else None,
            "created_time": _moment(process.created),
            "command_line": process.command_line,
            "parent_ref": parent if parent != own else None,
        }
        image = process.executable or process.name
        if image:
            fields["image_ref"] = self._add(stix2.File(name=clean(base_name(image))))
        fields = _given(fields)
        if not fields.keys() - {"parent_ref"}:
            return None
        self._processes[path, process.pid] = self._add(stix2.Process(id=own, **fields))
        self._add_file(path)
        self._observed[path][own] = None
        return own

    def _add_places(self, places: Iterable[Location], own: str | None) -> list[str]:
        """Write the dumps and processes of places, record that an object lay there, and return their ids."""
        ids: dict[str, None] = {}
        for place in places:
            ids[self._add_file(place.file)] = None
            if own is not None:
                self._observed[place.file][own] = None
            if place.process is not None:
                process = self._add_process(place.file, place.process)
                if process is not None:
                    ids[process] = None
        return list(ids)

    def _add_certificate(self, certificate: Certificate) -> None:
        exponent = certificate.public_key_exponent
        names = ", ".join(certificate.alternative_names[:_MAX_NAMES])
        fields = {
            "hashes": {"SHA-256": certificate.sha256, "SHA-1": certificate.thumbprint.lower()},
            "version": None if certificate.version is None else str(certificate.version),
            "serial_number": certificate.serial_number,
            "signature_algorithm": certificate.signature_algorithm,
            "issuer": certificate.issuer,
            "subject": certificate.subject,
            "validity_not_before": _moment(certificate.not_before),
            "validity_not_after": _moment(certificate.not_after),
            "subject_public_key_algorithm": certificate.public_key_algorithm,
            "subject_public_key_exponent": exponent if exponent is not None and exponent < _INTEGER else None,
            "x509_v3_extensions": stix2.X509V3ExtensionsType(subject_alternative_name=clean(names)) if names else None,
        }
        own = self._add(stix2.X509Certificate(**_given(fields)))
        self._certificates[certificate.thumbprint] = own
        self._add_places(certificate.locations, own)

    def _add_key(self, key: PrivateKey) -> None:
        certificates = [self._certificates.get(ref.thumbprint) for ref in key.certificates]
        references = [*filter(None, certificates), *self._add_places(key.locations, None)]
        places = f"{max(key.location_count, len(key.locations))} place(s) in memory"
        if references:
            note = self._sdo(
                stix2.Note,
                key.key_id,
                abstract="Private key exposed in a memory dump",
                content=printable(
                    f"{describe(key)}, in {places}. Key id (SHA-256 of the SubjectPublicKeyInfo): {key.key_id}. "
                    f"Proven: {', '.join(key.proof)}."
                ),
                object_refs=references,
                labels=["private-key-exposed"],
                created_by_ref=self._author["id"],
            )
            self._add(note)

    def _add_observation(self, path: str, references: list[str]) -> None:
        times = [dump.moment for dump in self._dumps if dump.path == path]
        moment = next((time for time in map(_moment, times) if time is not None), self._made)
        self._add(
            self._sdo(
                stix2.ObservedData,
                path,
                first_observed=moment,
                last_observed=moment,
                number_observed=1,
                object_refs=references,
                created_by_ref=self._author["id"],
            )
        )


def _process_id(path: str, process: Process) -> str:
    return f"process--{stable_uuid(repr((path, process.pid, process.created)))}"


def _moment(moment: datetime | None) -> datetime | None:
    return moment if moment is not None and moment.year >= _FIRST_YEAR else None


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the known fields with texts that every JSON reader takes; the library refuses empty lists."""
    return {
        name: clean(value) if isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None and value != []
    }

"""The tables of a case file: an SQLite database that people may query.

Times are ISO 8601 in UTC with a final `Z`. Addresses are text of fixed width (`0x00007ff612340000`), since SQLite's
integers end at 2^63 - 1 and kernel addresses lie beyond; as text they sort and compare as numbers do. Numbers that an
input chose and that do not fit into 64 bits with sign are text in hex, too. Lists and structures are JSON. What has no
column of its own is in the JSON object `details`, unless it has its default.

    dumps         one row for each file: what it is, what is wrong with it, who read it, when and how; captured is when
                  the dump was made by its own account; opened is 0 if the system did not let it be opened
    missing_symbols   symbol tables that the kernels of a dump need and that were not there when it was read; refused is
                  the path of one that was there and could not be used
    processes     of each dump, with command lines; environment holds their variables
    findings      one row for each object, however often it lies somewhere: its kind and what names it
    certificates, keys, containers, tls_secrets, others    what the object is, by its kind
    sightings     that a finding lies in a dump: how often, and what was proved of it there
    locations     each place: addresses, file offset, process, SHA-256 of the bytes there
    secrets       key material, only with `--store-keys`; queries see NULL
    case_info     when the case was begun
    pairs         (a view) private keys and the certificates that bear their public keys, over all dumps
    evidence      (a view) each place with the dump's path and what was found
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING

from dumpscan.case.records import CaseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

APPLICATION_ID = 0x44554D50
"""In the database's header: tells a case file from any other SQLite database (`DUMP`)."""

_VERSION_1 = """
CREATE TABLE case_info (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE dumps (
    id           INTEGER PRIMARY KEY,
    path         TEXT NOT NULL UNIQUE,
    size         INTEGER,
    modified_ns  INTEGER,
    modified     TEXT,
    tag          TEXT,
    sha256       TEXT,
    format       TEXT,
    status       TEXT NOT NULL CHECK (status IN ('ok', 'damaged', 'unreadable', 'other', 'pending')),
    problems     TEXT NOT NULL,
    tool_version TEXT NOT NULL,
    settings     TEXT NOT NULL,
    started      TEXT NOT NULL,
    finished     TEXT NOT NULL
);
CREATE INDEX dumps_by_sha256 ON dumps (sha256);
CREATE INDEX dumps_by_status ON dumps (status);

CREATE TABLE processes (
    id           INTEGER PRIMARY KEY,
    dump_id      INTEGER NOT NULL REFERENCES dumps ON DELETE CASCADE,
    position     INTEGER NOT NULL,
    pid          INTEGER,
    name         TEXT,
    parent_pid   INTEGER,
    executable   TEXT,
    command_line TEXT,
    architecture TEXT,
    session      INTEGER,
    wow64        INTEGER,
    created      TEXT,
    exited       TEXT,
    notes        TEXT NOT NULL,
    UNIQUE (dump_id, position)
);
CREATE INDEX processes_by_name ON processes (name);

CREATE TABLE environment (
    process_id INTEGER NOT NULL REFERENCES processes ON DELETE CASCADE,
    position   INTEGER NOT NULL,
    entry      TEXT NOT NULL,
    name       TEXT GENERATED ALWAYS AS (
        CASE instr(substr(entry, 2), '=') WHEN 0 THEN entry ELSE substr(entry, 1, instr(substr(entry, 2), '=')) END
    ) VIRTUAL,
    value      TEXT GENERATED ALWAYS AS (
        CASE instr(substr(entry, 2), '=') WHEN 0 THEN NULL ELSE substr(entry, instr(substr(entry, 2), '=') + 2) END
    ) VIRTUAL,
    PRIMARY KEY (process_id, position)
) WITHOUT ROWID;
CREATE INDEX environment_by_name ON environment (name);

CREATE TABLE findings (
    id       INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    identity TEXT NOT NULL,
    UNIQUE (kind, identity)
);

CREATE TABLE certificates (
    finding_id           INTEGER PRIMARY KEY REFERENCES findings ON DELETE CASCADE,
    thumbprint           TEXT NOT NULL,
    key_id               TEXT,
    version              INTEGER,
    serial_number        TEXT,
    subject              TEXT,
    issuer               TEXT,
    subject_common_name  TEXT,
    issuer_common_name   TEXT,
    not_before           TEXT,
    not_after            TEXT,
    signature_algorithm  TEXT,
    public_key_algorithm TEXT,
    public_key_size      INTEGER,
    public_key_curve     TEXT,
    public_key_exponent  INTEGER,
    alternative_names    TEXT NOT NULL,
    is_ca                INTEGER,
    problem              TEXT,
    der                  BLOB NOT NULL
);
CREATE INDEX certificates_by_thumbprint ON certificates (thumbprint);
CREATE INDEX certificates_by_key_id ON certificates (key_id);
CREATE INDEX certificates_by_end ON certificates (not_after);

CREATE TABLE keys (
    finding_id  INTEGER PRIMARY KEY REFERENCES findings ON DELETE CASCADE,
    kind        TEXT NOT NULL CHECK (kind IN ('private_key', 'public_key', 'symmetric_key')),
    key_id      TEXT NOT NULL,
    algorithm   TEXT NOT NULL,
    bits        INTEGER NOT NULL,
    curve       TEXT,
    public_info BLOB
);
CREATE INDEX keys_by_key_id ON keys (key_id, kind);

CREATE TABLE containers (
    finding_id INTEGER PRIMARY KEY REFERENCES findings ON DELETE CASCADE,
    container  TEXT NOT NULL,
    kdf        TEXT,
    cipher     TEXT,
    iterations INTEGER,
    mac        TEXT
);

CREATE TABLE sightings (
    finding_id     INTEGER NOT NULL REFERENCES findings ON DELETE CASCADE,
    dump_id        INTEGER NOT NULL REFERENCES dumps ON DELETE CASCADE,
    position       INTEGER NOT NULL,
    location_count INTEGER NOT NULL,
    sha256         TEXT NOT NULL,
    size           INTEGER NOT NULL,
    proof          TEXT NOT NULL,
    PRIMARY KEY (finding_id, dump_id)
) WITHOUT ROWID;
CREATE INDEX sightings_by_dump ON sightings (dump_id, position);

CREATE TABLE locations (
    id               INTEGER PRIMARY KEY,
    finding_id       INTEGER NOT NULL,
    dump_id          INTEGER NOT NULL,
    position         INTEGER NOT NULL,
    virtual_address  TEXT,
    physical_address TEXT,
    file_offset      INTEGER,
    length           INTEGER NOT NULL,
    missing          INTEGER NOT NULL,
    encoding         TEXT NOT NULL,
    sha256           TEXT NOT NULL,
    extents          TEXT NOT NULL,
    region_start     TEXT,
    region_size      INTEGER,
    module           TEXT,
    process_id       INTEGER REFERENCES processes ON DELETE SET NULL,
    pid              INTEGER,
    process_name     TEXT,
    key_object       TEXT,
    FOREIGN KEY (finding_id, dump_id) REFERENCES sightings ON DELETE CASCADE
);
CREATE INDEX locations_by_sighting ON locations (finding_id, dump_id, position);
CREATE INDEX locations_by_process ON locations (process_id);

CREATE TABLE secrets (
    finding_id INTEGER PRIMARY KEY REFERENCES findings ON DELETE CASCADE,
    material   BLOB NOT NULL
);

CREATE VIEW pairs AS
    SELECT keys.key_id, keys.algorithm, keys.bits, certificates.thumbprint, certificates.subject,
           certificates.issuer, certificates.not_before, certificates.not_after
    FROM keys JOIN certificates USING (key_id)
    WHERE keys.kind = 'private_key';

CREATE VIEW evidence AS
    SELECT dumps.path, findings.kind, findings.identity, locations.process_name, locations.pid,
           locations.virtual_address, locations.physical_address, locations.file_offset, locations.length,
           locations.encoding, locations.sha256
    FROM locations
    JOIN findings ON findings.id = locations.finding_id
    JOIN dumps ON dumps.id = locations.dump_id;
"""

_VERSION_2 = """
ALTER TABLE processes ADD COLUMN command_line_32 TEXT;
ALTER TABLE dumps ADD COLUMN opened INTEGER NOT NULL DEFAULT 1 CHECK (opened IN (0, 1));

CREATE TABLE missing_symbols (
    dump_id INTEGER NOT NULL REFERENCES dumps ON DELETE CASCADE,
    pdb     TEXT NOT NULL,
    guid    TEXT NOT NULL,
    age     INTEGER NOT NULL,
    refused TEXT,
    PRIMARY KEY (dump_id, pdb, guid, age)
) WITHOUT ROWID;
CREATE INDEX missing_symbols_by_guid ON missing_symbols (guid, age);

CREATE TABLE others (
    finding_id INTEGER PRIMARY KEY REFERENCES findings ON DELETE CASCADE,
    details    TEXT NOT NULL
);
ALTER TABLE processes ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
ALTER TABLE locations ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
ALTER TABLE certificates ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
ALTER TABLE keys ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
ALTER TABLE containers ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
ALTER TABLE sightings ADD COLUMN details TEXT NOT NULL DEFAULT '{}';

-- In version 1, only the text of problems tells what is typed now. Such files are read once more.
UPDATE dumps SET opened = 0 WHERE status = 'unreadable' AND problems LIKE '%cannot be opened%';
UPDATE dumps SET status = 'pending' WHERE format LIKE 'kernel%' AND problems LIKE '%symbol table of its kernel%';
"""

_VERSION_3 = """
ALTER TABLE dumps ADD COLUMN captured TEXT;
"""

_VERSION_4 = """
CREATE TABLE tls_secrets (
    finding_id    INTEGER PRIMARY KEY REFERENCES findings ON DELETE CASCADE,
    secret_id     TEXT NOT NULL,
    label         TEXT NOT NULL,
    version       TEXT NOT NULL,
    cipher_suite  TEXT,
    client_random TEXT,
    server_random TEXT,
    random_proven INTEGER NOT NULL,
    details       TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX tls_secrets_by_random ON tls_secrets (client_random);
"""

MIGRATIONS: tuple[str, ...] = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4)
"""The scripts that convert a case file from one version of its schema to the next. Version 0 is an empty database."""


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Convert a case file to the newest version of its schema, in one transaction.

    Args:
        connection: In autocommit mode, free to write.
        path: For messages.
        migrations: The scripts.

    Raises:
        CaseError: It is a database of another program, or was made by a newer dumpscan.
    """
    if check_version(connection, path, migrations) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = check_version(connection, path, migrations)  # as it is now that nobody else can change it
        _run(connection, migrations[version:])
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _run(connection: sqlite3.Connection, scripts: Iterable[str]) -> None:
    for script in scripts:
        for statement in _statements(script):
            connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script. SQLite says where one ends: not at a semicolon in a string or in a trigger."""
    statement = ""
    for part in script.split(";")[:-1]:
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def check_version(connection: sqlite3.Connection, path: Path, migrations: Sequence[str] = MIGRATIONS) -> int:
    """Return the version of a case file's schema; 0 for an empty database.

    Raises:
        CaseError: As for `migrate`.
    """
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        application = int(connection.execute("PRAGMA application_id").fetchone()[0])
        empty = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None
    except sqlite3.DatabaseError as error:
        raise CaseError(f"{path}: cannot be used as a case file: {error}") from error
    begun = application == APPLICATION_ID and version > 0
    nothing_yet = application in {0, APPLICATION_ID} and version == 0 and empty
    if not (begun or nothing_yet):
        raise CaseError(f"{path}: not a case file: it is a database of another program")
    if version > len(migrations):
        newest = len(migrations)
        raise CaseError(f"{path}: made by a newer dumpscan: its schema has version {version}; {newest} is understood")
    return version


@cache
def columns(table: str) -> frozenset[str]:
    """Return the names of a table's columns."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as pattern:
        _run(pattern, MIGRATIONS)
        return frozenset(str(row[1]) for row in pattern.execute(f"PRAGMA table_info({table})"))


def check_structure(connection: sqlite3.Connection, path: Path) -> None:
    """Check that a case file has the tables that dumpscan makes, and that SQLite finds no damage in it.

    Otherwise a table could be a view without an end, pages could form a cycle, and reading would never stop. Tables,
    views and indexes that a user has added do no harm.

    Args:
        connection: Open for reading, at a version that `check_version` accepts.
        path: For messages.

    Raises:
        CaseError: A table or an index is not what dumpscan makes, there is a trigger, or SQLite finds damage.
    """
    try:
        version = check_version(connection, path)
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as pattern:
            _run(pattern, MIGRATIONS[:version])
            expected = _objects(pattern)
        found = _objects(connection)
        triggers = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'trigger' LIMIT 1").fetchone()
        for name, made in expected.items():
            if found.get(name) != made:
                raise CaseError(f"{path}: the case file is damaged: {name} is not the {made[0]} that dumpscan makes")
        if triggers is not None:
            raise CaseError(f"{path}: the case file was changed: it has a trigger, which dumpscan never makes")
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        orphan = connection.execute("SELECT * FROM pragma_foreign_key_check LIMIT 1").fetchone()
    except (sqlite3.Error, UnicodeError) as error:
        raise CaseError(f"{path}: the case file is damaged: {error}") from error
    if problem != "ok":
        raise CaseError(f"{path}: the case file is damaged: {' '.join(str(problem).split())}")
    if orphan is not None:
        raise CaseError(f"{path}: the case file is damaged: a row of {orphan[0]} belongs to no row of {orphan[2]}")


def _objects(connection: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    """Return the type and the SQL of each table, index and view, with white space normalized."""
    rows = connection.execute("SELECT name, type, sql FROM sqlite_master WHERE type <> 'trigger' AND sql IS NOT NULL")
    return {str(name): (str(kind), " ".join(str(sql).split())) for name, kind, sql in rows}

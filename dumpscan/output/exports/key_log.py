"""Secrets of TLS sessions as a key log, the file by which Wireshark and others decrypt a capture.

Each line is a label, the client's random and the secret, the last two in hex. Comments say what such a line cannot: how
far the random is proven, and secrets whose session's random was not found. Source: "The SSLKEYLOGFILE Format for TLS",
draft-ietf-tls-keylogfile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.exceptions import ExportError
from dumpscan.findings import TlsSecret
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.findings import Finding
    from dumpscan.output.exports.directory import PrivateDirectory

KEY_LOG = "sslkeys.log"
KEY_LOG_KIND = "key_log"
"""As in `ExportedFile.kind`."""
MAX_KEY_LOG = 64 << 20
"""Bytes of the largest key log that is extended."""
_LABELS = frozenset(
    (
        "CLIENT_RANDOM",
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
        "EXPORTER_SECRET",
    )
)
_UNKNOWN_RANDOM = "?"


def tls_secrets(findings: Iterable[Finding]) -> tuple[TlsSecret, ...]:
    """Return the secrets of TLS sessions among findings."""
    return tuple(finding for finding in findings if isinstance(finding, TlsSecret) and finding.secret)


def key_log_lines(secrets: Iterable[TlsSecret]) -> list[bytes]:
    """Return the lines of a key log, those of one session together."""
    sessions: dict[str, list[TlsSecret]] = {}
    for number, secret in enumerate(secrets):
        sessions.setdefault(secret.client_random or f"{number}", []).append(secret)
    lines: list[str] = []
    heading = ""
    for session in sessions.values():
        before, heading = heading, f"# {_about(session[0])}"
        if heading != before:
            lines.append(heading)
        lines += [_line(secret) for secret in session]
    return [line.encode("ascii", "backslashreplace") for line in lines]


def extend_key_log(target: PrivateDirectory, lines: list[bytes]) -> tuple[bytes, bool]:
    """Add lines to the key log, except those that it holds already; other exports wait meanwhile.

    Returns:
        The log, and whether it was there before with all of these lines.

    Raises:
        ExportError: What is there cannot be read or is too large, or the log could not be written.
    """
    with target.locked():
        log = target.read(KEY_LOG, MAX_KEY_LOG) or b""
        if log and not _is_key_log(log):
            raise ExportError(f"{target.path / KEY_LOG}: is there already and is not a key log; it was not touched")
        known = set(log.splitlines())
        new = [line for line in lines if line not in known]
        if not any(line[:1] != b"#" or b" " + _UNKNOWN_RANDOM.encode() + b" " in line for line in new):
            return log, True  # nothing but headings of what is there
        if log and not log.endswith(b"\n"):
            log += b"\n"
        log += b"\n".join([*new, b""])
        target.replace(KEY_LOG, log)
        return log, False


def _is_key_log(log: bytes) -> bool:
    """Say whether every line is a comment, or begins as lines of key logs do."""
    return all(line[:1] in {b"", b"#"} or line.count(b" ") > 1 for line in log.splitlines())


def _about(secret: TlsSecret) -> str:
    """Say whose session it is, and how far its random is known."""
    place = secret.locations[0] if secret.locations else None
    process = place.process if place is not None else None
    parts = [
        place.file if place is not None else None,
        f"{process.name or 'process'} {process.pid}" if process is not None and process.pid is not None else None,
        secret.version,
        secret.cipher_suite,
        secret.server_name,
        "resumed" if secret.resumed else None,
        _random(secret),
    ]
    return printable(", ".join(part for part in parts if part))


def _random(secret: TlsSecret) -> str:
    if secret.client_random is None:
        return f"client random not found: tls --capture finds it, or put the capture's in place of {_UNKNOWN_RANDOM}"
    return "client random proven" if secret.random_proven else "client random placed, not proven"


def _line(secret: TlsSecret) -> str:
    usable = secret.client_random is not None and secret.label in _LABELS
    line = f"{secret.label} {secret.client_random or _UNKNOWN_RANDOM} {secret.secret.hex()}"
    return line if usable else f"# {line}"

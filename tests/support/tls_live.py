"""A live TLS session between Python's own client and server, recorded: its packets, its key log, and its process.

Run as a program, it is the process: it connects to itself through memory, writes what it sent as JSON, and waits.
"""

from __future__ import annotations

import datetime as dt
import json
import ssl
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CLIENT, SERVER = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
PORTS = 40000, 8443
HOST = "a.example"
REQUEST, RESPONSE = (
    b"GET /secret HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd",
)


@dataclass(frozen=True)
class Live:
    """What was recorded of a process.

    Attributes:
        turns: Who sent what: 0 is the client, 1 the server.
        keys: The lines of its key log.
        pid: Of the process.
    """

    turns: list[tuple[int, bytes]]
    keys: list[str]
    pid: int


def pcap(turns: list[tuple[int, bytes]], link: int = 1, used: tuple[int, int] = PORTS) -> bytes:
    """Return a capture of a connection in which sides sent this, as pcap. Checksums are zero."""
    packets, numbers = [], [1000, 5000]

    def add(side: int, flags: int, data: bytes) -> None:
        ports = used if side == 0 else used[::-1]
        tcp = struct.pack(">HHIIBBHHH", *ports, numbers[side], numbers[1 - side], 5 << 4, flags, 65535, 0, 0) + data
        ends = (CLIENT, SERVER) if side == 0 else (SERVER, CLIENT)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, *ends) + tcp
        packets.append({1: bytes(12) + b"\x08\0", 101: b""}[link] + ip)
        numbers[side] = (numbers[side] + len(data) + bool(flags & 2)) & 0xFFFFFFFF

    add(0, 2, b"")
    add(1, 18, b"")
    for side, data in turns:
        for at in range(0, len(data), 1400):
            add(side, 24, data[at : at + 1400])
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    return head + b"".join(
        struct.pack("<IIII", 1, number, len(each), len(each)) + each for number, each in enumerate(packets)
    )


def server_pem() -> bytes:
    """Return a certificate of `HOST` and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    plain = serialization.NoEncryption()
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain
    )


def start(certificate: Path, version: str, cipher: str) -> tuple[subprocess.Popen[str], Live]:
    """Start a process with a live session.

    Args:
        certificate: A PEM file with a certificate and its key.
        version: `TLSv1_2` or `TLSv1_3`.
        cipher: A cipher of TLS 1.2 for OpenSSL; empty for the default.
    """
    process = subprocess.Popen(
        [sys.executable, __file__, certificate, version, cipher],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    turns = [(side, bytes.fromhex(data)) for side, data in told["turns"]]
    return process, Live(turns, told["keys"], process.pid)


def memory_of(pid: int) -> list[tuple[int, bytes]]:
    """Read the writable memory of a process.

    Raises:
        OSError: The system does not allow it.
    """
    found = []
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in lines:
            span, rights, *_ = line.split()
            begin, end = (int(each, 16) for each in span.split("-"))
            if rights.startswith("rw") and "[v" not in line:
                memory.seek(begin)
                found.append((begin, memory.read(end - begin)))
    return found


def contexts(certificate: str, version: str, cipher: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return those of a client and of a server (see `start`)."""
    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    for context in (server, client):
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        if cipher:
            context.set_ciphers(cipher)
    return client, server


def connect(
    client: ssl.SSLContext, server: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[list[ssl.SSLObject], list[tuple[int, bytes]]]:
    """Connect a client to a server; return both ends, and who sent what (see `Live`).

    Args:
        client: The client's context.
        server: The server's.
        session: What to resume.
    """
    turns: list[tuple[int, bytes]] = []
    incoming, outgoing = [ssl.MemoryBIO(), ssl.MemoryBIO()], [ssl.MemoryBIO(), ssl.MemoryBIO()]
    ends = [
        client.wrap_bio(incoming[0], outgoing[0], server_hostname=HOST, session=session),
        server.wrap_bio(incoming[1], outgoing[1], server_side=True),
    ]

    def run(side: int, action: str, *given: object) -> None:
        try:
            getattr(ends[side], action)(*given)
        except ssl.SSLWantReadError:
            pass
        finally:
            data = outgoing[side].read()
            if data:
                turns.append((side, data))
                incoming[1 - side].write(data)

    for _ in range(4):
        for side in (0, 1):
            run(side, "do_handshake")
    run(0, "write", REQUEST)
    run(1, "read", 1000)
    run(1, "write", RESPONSE)
    run(0, "read", 1000)
    return ends, turns


def _main(certificate: str, version: str, cipher: str) -> None:
    client, server = contexts(certificate, version, cipher)
    with tempfile.NamedTemporaryFile() as log:
        client.keylog_filename = log.name
        ends, turns = connect(client, server)
        keys = [line for line in Path(log.name).read_text().splitlines() if not line.startswith("#")]
    told = {"turns": [(side, data.hex()) for side, data in turns], "keys": keys}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    del ends


if __name__ == "__main__":
    _main(*sys.argv[1:])

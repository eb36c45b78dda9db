"""Memory of programs with TLS sessions, made by hand: secrets in the places where libraries keep them, and schedules.

What follows from a secret is computed here with other code than the product's: with `cryptography`.
"""

from __future__ import annotations

import hashlib
import random
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from dumpscan.artifacts.aes.cipher import expand

HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}
BASE = 0x55D0C0A00000


@dataclass(frozen=True)
class Suite:
    """A suite of TLS 1.3."""

    name: str
    code: bytes
    hash: str
    key_size: int

    @property
    def size(self) -> int:
        return HASHES[self.hash].digest_size


SUITES = {
    "aes-128": Suite("TLS_AES_128_GCM_SHA256", b"\x13\x01", "sha256", 16),
    "aes-256": Suite("TLS_AES_256_GCM_SHA384", b"\x13\x02", "sha384", 32),
    "chacha20": Suite("TLS_CHACHA20_POLY1305_SHA256", b"\x13\x03", "sha256", 32),
}


def noise(size: int, seed: str) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 - the same each time


def expand_label(secret: bytes, hash_: str, label: str, size: int, context: bytes = b"") -> bytes:
    whole = b"tls13 " + label.encode()
    info = struct.pack(">HB", size, len(whole)) + whole + bytes([len(context)]) + context
    return HKDFExpand(HASHES[hash_], size, info).derive(secret)


def mac(key: bytes, hash_: str, data: bytes) -> bytes:
    made = HMAC(key, HASHES[hash_])
    made.update(data)
    return made.finalize()


def hello(kind: int, seed: str, session_id: bytes, suite: bytes = b"") -> bytes:
    """Return a ClientHello (1) or ServerHello (2)."""
    body = b"\x03\x03" + noise(32, f"{seed}/random {kind}") + b"\x20" + session_id
    body += suite + b"\0" + noise(40, f"{seed}/extensions") if kind == 2 else b"\0\x02" + suite + noise(60, seed)
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


@dataclass
class Session13:
    """A session of TLS 1.3."""

    suite: Suite
    seed: str = "session"
    secrets: dict[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        name, size = self.suite.hash, self.suite.size
        session_id = noise(32, f"{self.seed}/id")
        self.client_hello = hello(1, self.seed, session_id, self.suite.code)
        self.server_hello = hello(2, self.seed, session_id, self.suite.code)
        self.client_random, self.server_random = self.client_hello[6:38], self.server_hello[6:38]
        self.handshake = noise(size, f"{self.seed}/handshake")
        self.hello_hash = hashlib.new(name, self.client_hello + self.server_hello).digest()
        self.finished_hash = noise(size, f"{self.seed}/transcript")
        empty = hashlib.new(name).digest()
        self.master = mac(expand_label(self.handshake, name, "derived", size, empty), name, bytes(size))
        self.secrets = {
            label: expand_label(source, name, short, size, transcript)
            for label, short, source, transcript in (
                ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "c hs traffic", self.handshake, self.hello_hash),
                ("SERVER_HANDSHAKE_TRAFFIC_SECRET", "s hs traffic", self.handshake, self.hello_hash),
                ("CLIENT_TRAFFIC_SECRET_0", "c ap traffic", self.master, self.finished_hash),
                ("SERVER_TRAFFIC_SECRET_0", "s ap traffic", self.master, self.finished_hash),
                ("EXPORTER_SECRET", "exp master", self.master, self.finished_hash),
            )
        }

    def key_material(self, *labels: str) -> bytes:
        """Return what a cipher holds of the keys of some secrets: schedules, or plain keys."""
        parts = []
        for label in labels or ("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"):
            key = expand_label(self.secrets[label], self.suite.hash, "key", self.suite.key_size)
            parts.append(key if "CHACHA" in self.suite.name else expand(key))
        return b"".join(bytes(16) + part + bytes(16) for part in parts)

    def finished(self, label: str) -> bytes:
        return expand_label(self.secrets[label], self.suite.hash, "finished", self.suite.size)

    def openssl(self) -> bytes:
        """Return the part of OpenSSL's `ssl_st` with secrets, `client_app_traffic_secret` at 512."""
        arrays = (
            b"",
            self.handshake,
            self.master,
            noise(self.suite.size, f"{self.seed}/resumption"),
            self.finished("CLIENT_HANDSHAKE_TRAFFIC_SECRET"),
            self.finished("SERVER_HANDSHAKE_TRAFFIC_SECRET"),
            self.finished_hash,
            self.hello_hash,
            self.secrets["CLIENT_TRAFFIC_SECRET_0"],
            self.secrets["SERVER_TRAFFIC_SECRET_0"],
            self.secrets["EXPORTER_SECRET"],
        )
        return b"".join(array.ljust(64, b"\0") for array in arrays)


def prf(secret: bytes, hash_: str, seed: bytes, size: int) -> bytes:
    result, chained = b"", seed
    while len(result) < size:
        chained = mac(secret, hash_, chained)
        result += mac(secret, hash_, chained + seed)
    return result[:size]


@dataclass
class Session12:
    """A session of TLS 1.2: `cipher` is `gcm-16`, `cbc-16` (with SHA-1), `chacha20-32`, by the size of the key."""

    cipher: str = "gcm-16"
    hash: str = "sha256"
    seed: str = "session"

    def __post_init__(self) -> None:
        self.master = noise(48, f"{self.seed}/master")
        self.client_random = noise(32, f"{self.seed}/client")
        self.server_random = noise(32, f"{self.seed}/server")
        self.session_id = noise(32, f"{self.seed}/id")

    def key_material(self) -> bytes:
        name, size = self.cipher.split("-")
        skipped = 40 if name == "cbc" else 0
        seed = b"key expansion" + self.server_random + self.client_random
        block = prf(self.master, self.hash, seed, skipped + 2 * int(size))
        key = block[skipped : skipped + int(size)]
        return bytes(16) + (key if name == "chacha20" else expand(key)) + bytes(16)

    @property
    def randoms(self) -> bytes:
        """Both randoms as OpenSSL holds them."""
        return bytes(64) + self.server_random + self.client_random + bytes(32)

    def openssl(self) -> bytes:
        """Return OpenSSL's `ssl_session_st` as far as all versions agree."""
        head = struct.pack("<iiQ", 0x0303, 0, 48) + bytes(64)
        return head + self.master.ljust(256, b"\0") + struct.pack("<Q", 32) + self.session_id + bytes(64)

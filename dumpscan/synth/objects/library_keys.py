"""Keys as OpenSSL, mbedTLS, GnuTLS (GMP), Go and OpenSSH hold them, made for the address at which they lie.

The structure that a finding names comes first; the numbers and what else it points to follow. Layouts: `c_big_numbers`,
`c_ecx` and `c_openssh` in `dumpscan.model`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha512
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts.symcrypt.curves import NAMED_FIELDS
from dumpscan.exceptions import ScenarioError
from dumpscan.model.c_big_numbers import FLAG_CONSTTIME, LIMB, NID_P256, NID_P384, NID_P521, c_numbers
from dumpscan.model.libraries.c_ecx import HAS_PUBLIC, TYPE_ED448, TYPE_ED25519, c_ecx
from dumpscan.model.libraries.c_openssh import PREKEY_SIZE, SHIELD_BLOCK, SHIELD_KEY_SIZE, c_openssh
from dumpscan.synth.objects.private_keys.members import rsa_members
from dumpscan.synth.objects.private_keys.putty import ssh_mpint, ssh_string
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dumpscan.synth.objects.keys import KeyPair

ALIGNMENT = 16
"""An object may lie at any multiple of this, as what `malloc` gives does."""
_RSA_MEMBERS = ("n", "e", "d", "p", "q", "dp", "dq", "qi")
"""In the order of `rsa_st` and of `mbedtls_rsa_context`."""
_MALLOCED = 1
_GROUP = 0x7F00_0000_1000
_METHOD = 0x7F00_0000_2000
"""Addresses of what a key shares with others, and the dump need not hold."""
_NIST_P = {256: NID_P256, 384: NID_P384, 521: NID_P521}
"""OpenSSL's numbers of the curves (`obj_mac.h`)."""


@dataclass(frozen=True, slots=True)
class LibraryKey:
    """A key with everything that it points to.

    Attributes:
        library: As in `KeyObject.library`.
        structure: As in `KeyObject.structure`.
        key_size: Bytes of the structure, which is the length of a finding.
        size: Bytes of everything.
    """

    library: str
    structure: str
    key_size: int
    size: int
    _build: Callable[[int], bytes] = field(repr=False)

    @property
    def alignment(self) -> int:
        """The address must be a multiple of this."""
        return ALIGNMENT

    @property
    def wrapper(self) -> None:
        """No handle points to it."""

    def parts_in(self, holes: Sequence[tuple[int, int]]) -> tuple[str, ...]:
        """Return no names: it cannot lie in holes.

        Raises:
            ScenarioError: It does.
        """
        if holes:
            raise ScenarioError(f"a key of {self.library} must lie in memory that the dump holds")
        return ()

    def at(self, address: int) -> bytes:
        """Return the bytes for an address.

        Raises:
            ScenarioError: If it is no multiple of `ALIGNMENT`, or no pointer of a program can hold it.
        """
        if address % ALIGNMENT or not 0 < address < 1 << 47:
            raise ScenarioError(f"a key of {self.library} cannot lie at {address:#x}")
        return self._build(address)


class _Heap:
    """Memory that is filled from an address on.

    Attributes:
        data: What is in it.
    """

    def __init__(self, address: int) -> None:
        self._address = address
        self.data = bytearray()

    def put(self, data: bytes) -> int:
        """Place bytes and return their address."""
        self.data += bytes(-len(self.data) % ALIGNMENT)
        address = self._address + len(self.data)
        self.data += data
        return address

    def limbs(self, value: int) -> tuple[int, int]:
        """Place a number and return the address and the number of its limbs."""
        count = -(-value.bit_length() // (8 * LIMB))
        return self.put(value.to_bytes(count * LIMB, "little")), count


# --- Headers ---------------------------------------------------------------------------------------------------------


def _bignum(heap: _Heap, value: int, *, private: bool = False) -> bytes:
    pointer, count = heap.limbs(value)
    flags = _MALLOCED | FLAG_CONSTTIME * private
    return bytes(c_numbers.bignum_st(d=pointer, top=count, dmax=count, neg=0, flags=flags).dumps())


def _mpi(heap: _Heap, value: int) -> bytes:
    pointer, count = heap.limbs(value)
    return bytes(c_numbers.mbedtls_mpi(s=1, n=count, p=pointer).dumps())


def _mpz(heap: _Heap, value: int) -> bytes:
    pointer, count = heap.limbs(value)
    return bytes(c_numbers.mpz_struct(alloc=count, size=count, d=pointer).dumps())


def _slice(heap: _Heap, value: int) -> bytes:
    pointer, count = heap.limbs(value)
    return bytes(c_numbers.go_slice(array=pointer, len=count, cap=count).dumps())


# --- Keys ------------------------------------------------------------------------------------------------------------


def _structure(size: int, fill: Callable[[_Heap], bytes]) -> Callable[[int], bytes]:
    """Return a function that places a structure of `size` bytes, after which `fill` places what is in it."""

    def build(address: int) -> bytes:
        heap = _Heap(address)
        heap.put(bytes(size))
        heap.data[:size] = fill(heap)
        return bytes(heap.data)

    return build


def _openssl_rsa(key: rsa.RSAPrivateKey) -> tuple[str, int, Callable[[_Heap], bytes]]:
    members = rsa_members(key)

    def fill(heap: _Heap) -> bytes:
        pointers = [heap.put(_bignum(heap, members[name], private=name not in ("n", "e"))) for name in _RSA_MEMBERS]
        return bytes(c_numbers.rsa_st_numbers(*pointers).dumps())

    return "rsa_st", len(c_numbers.rsa_st_numbers), fill


def _openssl_ec(key: ec.EllipticCurvePrivateKey) -> tuple[str, int, Callable[[_Heap], bytes]]:
    scalar, x, y = _ec_numbers(key)
    field_prime = NAMED_FIELDS[key.key_size]
    radix = 1 << 8 * LIMB * -(-key.key_size // (8 * LIMB))

    def fill(heap: _Heap) -> bytes:
        x_at, y_at, z_at = (heap.put(_bignum(heap, value * radix % field_prime)) for value in (x, y, 1))
        point = c_numbers.ec_point_st(meth=_METHOD, curve_name=_NIST_P[key.key_size], X=x_at, Y=y_at, Z=z_at)
        private = heap.put(_bignum(heap, scalar, private=True))
        pointers = {"group": _GROUP, "pub_key": heap.put(point.dumps()), "priv_key": private}
        return bytes(c_numbers.ec_key_st_numbers(**pointers).dumps())

    return "ec_key_st", len(c_numbers.ec_key_st_numbers), fill


def _openssl_ecx(
    key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey,
) -> tuple[str, int, Callable[[_Heap], bytes]]:
    private, public = key.private_bytes_raw(), key.public_key().public_bytes_raw()

    def fill(heap: _Heap) -> bytes:
        structure = c_ecx.ecx_key_st(libctx=_METHOD, flags=HAS_PUBLIC, privkey=heap.put(private), references=1)
        structure.pubkey[: len(public)] = public
        structure.keylen = len(public)
        structure.type = TYPE_ED25519 if isinstance(key, ed25519.Ed25519PrivateKey) else TYPE_ED448
        return bytes(structure.dumps())

    return "ecx_key_st", len(c_ecx.ecx_key_st), fill


def _mbedtls_rsa(key: rsa.RSAPrivateKey) -> tuple[str, int, Callable[[_Heap], bytes]]:
    members = rsa_members(key)
    size = len(_RSA_MEMBERS) * len(c_numbers.mbedtls_mpi)
    return "mbedtls_rsa_context", size, lambda heap: b"".join(_mpi(heap, members[name]) for name in _RSA_MEMBERS)


def _mbedtls_ec(key: ec.EllipticCurvePrivateKey) -> tuple[str, int, Callable[[_Heap], bytes]]:
    values = (*_ec_numbers(key), 1)
    size = len(values) * len(c_numbers.mbedtls_mpi)
    return "mbedtls_ecp_keypair", size, lambda heap: b"".join(_mpi(heap, value) for value in values)


def _alone(
    structure: str, size: int, header: Callable[[_Heap, int], bytes], values: Sequence[int]
) -> tuple[str, int, Callable[[_Heap], bytes]]:
    """Return numbers that no known structure holds; the first is the one at which a finding lies."""

    def fill(heap: _Heap) -> bytes:
        for value in values[1:]:
            heap.put(header(heap, value))
        return header(heap, values[0])

    return structure, size, fill


def _private_first(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> list[int]:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return list(_ec_numbers(key))
    members = rsa_members(key)
    return [members[name] for name in ("d", "n", "p", "q", "dp", "dq", "qi")]


def _gmp(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> tuple[str, int, Callable[[_Heap], bytes]]:
    return _alone("mpz_struct", len(c_numbers.mpz_struct), _mpz, _private_first(key))


def _go(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> tuple[str, int, Callable[[_Heap], bytes]]:
    return _alone("go_slice", len(c_numbers.go_slice), _slice, _private_first(key))


def _ec_numbers(key: ec.EllipticCurvePrivateKey) -> tuple[int, int, int]:
    """Return d, x and y."""
    numbers = key.private_numbers()
    return numbers.private_value, numbers.public_numbers.x, numbers.public_numbers.y


_SshKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def _openssh(key: _SshKey) -> tuple[str, int, Callable[[_Heap], bytes]]:
    text = _ssh_private(key)
    text += bytes(range(1, 1 + -len(text) % SHIELD_BLOCK))
    prekey = SeededBytes("prekey", text.hex()).take(PREKEY_SIZE)
    secret = sha512(prekey).digest()
    cipher = Cipher(AES(secret[:SHIELD_KEY_SIZE]), CTR(secret[SHIELD_KEY_SIZE:][:SHIELD_BLOCK]))

    def fill(heap: _Heap) -> bytes:
        return bytes(
            c_openssh.sshkey_shield(
                shielded_private=heap.put(cipher.encryptor().update(text)),
                shielded_len=len(text),
                shield_prekey=heap.put(prekey),
                shield_prekey_len=len(prekey),
            ).dumps()
        )

    return "sshkey", len(c_openssh.sshkey_shield), fill


def _ssh_private(key: _SshKey) -> bytes:
    """Return a key as `sshkey_private_serialize_opt` writes it."""
    public = key.public_key()
    match key:
        case rsa.RSAPrivateKey():
            members = rsa_members(key)
            return ssh_string(b"ssh-rsa") + b"".join(
                ssh_mpint(members[name]) for name in ("n", "e", "d", "qi", "p", "q")
            )
        case ec.EllipticCurvePrivateKey():
            curve = b"nistp%d" % key.key_size
            point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            parts = (b"ecdsa-sha2-" + curve, curve, point)
            return b"".join(map(ssh_string, parts)) + ssh_mpint(key.private_numbers().private_value)
        case _:
            raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
            return b"".join(map(ssh_string, (b"ssh-ed25519", raw, key.private_bytes_raw() + raw)))


_RSA, _EC = rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey
_ED25519, _ED448 = ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey
_WRITERS: dict[str, tuple[str, dict[type, Callable[..., tuple[str, int, Callable[[_Heap], bytes]]]]]] = {
    "openssl-bignum": ("openssl", {_RSA: _openssl_rsa, _EC: _openssl_ec}),
    "openssl-ecx": ("openssl", {_ED25519: _openssl_ecx, _ED448: _openssl_ecx}),
    "mbedtls-mpi": ("mbedtls", {_RSA: _mbedtls_rsa, _EC: _mbedtls_ec}),
    "gmp-mpz": ("gmp", {_RSA: _gmp, _EC: _gmp}),
    "go-words": ("go", {_RSA: _go, _EC: _go}),
    "openssh-shielded": ("openssh", {_RSA: _openssh, _EC: _openssh, _ED25519: _openssh}),
}
ENCODINGS = tuple(_WRITERS)
"""The encodings, as in `Location.encoding`."""
_CURVES = ("secp256r1", "secp384r1", "secp521r1")


def make_library_key(key: KeyPair, encoding: str) -> LibraryKey:
    """Return a key as a library holds it.

    Raises:
        ScenarioError: The library cannot hold such a key.
    """
    library, writers = _WRITERS[encoding]
    write = next((write for kind, write in writers.items() if isinstance(key.private, kind)), None)
    if write is None or (key.curve is not None and key.curve not in _CURVES):
        raise ScenarioError(f"encoding {encoding!r} cannot hold a key of algorithm {key.curve or key.algorithm}")
    structure, size, fill = write(key.private)
    build = _structure(size, fill)
    return LibraryKey(library, structure, size, len(build(ALIGNMENT)), build)

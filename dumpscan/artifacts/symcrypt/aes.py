"""AES keys: a schedule found anywhere, and what SymCrypt's own object around it says, where it is one."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan.artifacts.aes.cipher import expand
from dumpscan.artifacts.aes.schedule import Schedule, search
from dumpscan.artifacts.decoded import Decoded
from dumpscan.artifacts.symcrypt.numbers import digest_present, read_exactly
from dumpscan.artifacts.symcrypt.rsa import ENCODING
from dumpscan.findings import KeyObject, SymmetricKey
from dumpscan.model.c_symcrypt import X64, X86

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dumpscan.memory.space import AddressSpace, Memory
    from dumpscan.model.c_symcrypt import Abi

STRUCTURE = "SYMCRYPT_AES_EXPANDED_KEY"
SCHEDULE_ENCODING = "aes-schedule"
DECRYPTION_ENCODING = "aes-decryption-schedule"
_LABEL = b"dumpscan symmetric key\0AES\0"
_BLOCK = 16
_ENCRYPTION = ("encryption schedule",)


def search_aes(
    space: AddressSpace,
    *,
    unaligned: bool = False,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Decoded]:
    """Find every AES key whose schedule lies in an address space (arguments as of `aes.schedule.search`)."""
    for schedule in search(space, unaligned=unaligned, threads=threads, progress=progress):
        yield decode_schedule(space, schedule)


def decode_schedule(memory: Memory, schedule: Schedule) -> Decoded:
    """Say what a schedule is part of. Its `address` must be one in `memory`."""
    for abi in (X64, X86) if memory.pointer_size == X64.pointer_size else (X86,):
        decoded = None if schedule.swapped else _decode_object(memory, schedule, abi)
        if decoded is not None:
            return decoded
    digest, missing = digest_present(memory, schedule.address, schedule.size)
    encoding = DECRYPTION_ENCODING if schedule.decryption else SCHEDULE_ENCODING
    bare = KeyObject(library=None, structure=None)
    return Decoded(_finding(schedule), schedule.address, schedule.size, digest, encoding, missing, bare)


def _finding(schedule: Schedule) -> SymmetricKey:
    which = "schedule for decryption" if schedule.decryption else "schedule"
    return SymmetricKey(
        sha256="",
        size=0,
        algorithm="AES",
        bits=len(schedule.key) * 8,
        key=schedule.key,
        key_id=sha256(_LABEL + schedule.key).hexdigest(),
        proof=(f"the whole {which} follows from the key",),
    )


def _decode_object(memory: Memory, schedule: Schedule, abi: Abi) -> Decoded | None:
    """Check the pointers of SymCrypt's object to its own last round keys.

    The round keys for decryption follow those for encryption, whose last one is their first.

    Returns:
        The object; None if there is no such object around the schedule.
    """
    length = schedule.size - _BLOCK
    address = schedule.address - length if schedule.decryption else schedule.address
    pointers = read_exactly(memory, address + abi.offset(STRUCTURE, "lastEncRoundKey"), 2 * abi.pointer_size)
    if pointers is None or (
        int.from_bytes(pointers[: abi.pointer_size], "little"),
        int.from_bytes(pointers[abi.pointer_size :], "little"),
    ) != (address + length, address + 2 * length):
        return None
    missing_parts: tuple[str, ...] = ()
    wrong_parts: tuple[str, ...] = ()
    if schedule.decryption:
        other = read_exactly(memory, address, schedule.size)
        if other == expand(schedule.key):
            return _decode_object(memory, Schedule(address, schedule.key, swapped=False), abi)
        missing_parts, wrong_parts = (_ENCRYPTION, ()) if other is None else ((), _ENCRYPTION)
    elif read_exactly(memory, address + 2 * length, _BLOCK) != schedule.key[:_BLOCK]:
        wrong_parts = ("decryption schedule",)
    digest, missing = digest_present(memory, address, abi.aes_key_size)
    key_object = KeyObject(
        library="symcrypt",
        structure=STRUCTURE,
        # The object's layout is the same in every version, and on all architectures with pointers of 8 bytes.
        architecture=X86.architecture if abi is X86 else None,
        missing_parts=missing_parts,
        wrong_parts=wrong_parts,
    )
    return Decoded(_finding(schedule), address, abi.aes_key_size, digest, ENCODING, missing, key_object)

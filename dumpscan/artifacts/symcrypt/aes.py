"""AES keys: a schedule found anywhere, and what SymCrypt's own object around it says, where it is one."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan.artifacts.aes.schedule import search
from dumpscan.artifacts.decoded import Decoded
from dumpscan.artifacts.symcrypt.numbers import digest_present, read_exactly, read_struct
from dumpscan.artifacts.symcrypt.rsa import ENCODING
from dumpscan.findings import KeyObject, SymmetricKey
from dumpscan.model.c_symcrypt import X64, X86

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dumpscan.artifacts.aes.schedule import Schedule
    from dumpscan.memory.space import AddressSpace, Memory
    from dumpscan.model.c_symcrypt import Abi

STRUCTURE = "SYMCRYPT_AES_EXPANDED_KEY"
SCHEDULE_ENCODING = "aes-schedule"
_LABEL = b"dumpscan symmetric key\0AES\0"
_BLOCK = 16


def search_aes(
    space: AddressSpace, *, threads: int | None = None, progress: Callable[[int], None] | None = None
) -> Iterator[Decoded]:
    """Find every AES key whose schedule lies in an address space (arguments as of `aes_schedule.search`).

    It reads all of it once more, at about half a GiB/s: a tenth of the speed of the scan for signatures.
    """
    for schedule in search(space, threads=threads, progress=progress):
        yield decode_schedule(space, schedule)


def decode_schedule(memory: Memory, schedule: Schedule) -> Decoded:
    """Say what a schedule is part of. Its `address` must be one in `memory`."""
    finding = SymmetricKey(
        sha256="",
        size=0,
        algorithm="AES",
        bits=len(schedule.key) * 8,
        key=schedule.key,
        key_id=sha256(_LABEL + schedule.key).hexdigest(),
        proof=("the whole schedule follows from the key",),
    )
    for abi in (X64, X86) if memory.pointer_size == X64.pointer_size else (X86,):
        wrong = None if schedule.swapped else _object(memory, schedule, abi)
        if wrong is not None:
            size = abi.aes_key_size
            digest, missing = digest_present(memory, schedule.address, size)
            # Its layout is the same in every version, and on all architectures with pointers of 8 bytes.
            architecture = X86.architecture if abi is X86 else None
            key_object = KeyObject(
                library="symcrypt", structure=STRUCTURE, architecture=architecture, wrong_parts=wrong
            )
            return Decoded(finding, schedule.address, size, digest, ENCODING, missing, key_object)
    digest, missing = digest_present(memory, schedule.address, schedule.size)
    bare = KeyObject(library=None, structure=None)
    return Decoded(finding, schedule.address, schedule.size, digest, SCHEDULE_ENCODING, missing, bare)


def _object(memory: Memory, schedule: Schedule, abi: Abi) -> tuple[str, ...] | None:
    """Check the pointers of SymCrypt's object to its own last round keys, and the last one for decryption: the key.

    Returns:
        The parts that are wrong; None if there is no such object around the schedule.
    """
    fields = read_struct(memory, schedule.address, abi, STRUCTURE)
    if fields is None:
        return None
    encryption = schedule.address + schedule.size - _BLOCK
    decryption = schedule.address + 2 * (schedule.size - _BLOCK)
    if (int(fields.lastEncRoundKey), int(fields.lastDecRoundKey)) != (encryption, decryption):
        return None
    return () if read_exactly(memory, decryption, _BLOCK) == schedule.key[:_BLOCK] else ("decryption schedule",)

"""What proofs cost: a decoder says how long a slow step will take, before it takes it.

Whoever runs decoders may limit their sum (`paid_by`), so that a memory full of structures that look like keys takes no
longer than a multiple of its size. The figures are microseconds of one processor core of 2020, computed from the sizes
of numbers and not measured, so that the same dump gives the same findings on every machine.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_POWER_1024 = 2500
"""A power modulo a number of 1024 bits, to an exponent as long, by Python's `pow`."""
_INVERSE_1024 = 300
"""An inverse modulo a number of 1024 bits, by Python's `pow`."""


class TooCostlyError(Exception):
    """The step would cost more than is left. It is not a `RefusedError`, because it says nothing about the object."""


_payer: ContextVar[Callable[[float], None] | None] = ContextVar("payer", default=None)


@contextmanager
def paid_by(payer: Callable[[float], None]) -> Iterator[None]:
    """Have every charge in the block go to `payer`, which raises `TooCostlyError` if it will not pay."""
    token = _payer.set(payer)
    try:
        yield
    finally:
        _payer.reset(token)


def charge(microseconds: float) -> None:
    """Announce a step that takes so long.

    Raises:
        TooCostlyError: If the step must not be taken. Without a payer any may be.
    """
    payer = _payer.get()
    if payer is not None:
        payer(microseconds)


def charge_power(modulus_bits: int, exponent_bits: int) -> None:
    """Announce a power modulo a number of `modulus_bits`, to an exponent of `exponent_bits` (see `charge`)."""
    charge(_POWER_1024 * (modulus_bits / 1024) ** 2 * (exponent_bits / 1024))


def charge_inverse(modulus_bits: int) -> None:
    """Announce an inverse modulo a number of `modulus_bits` (see `charge`)."""
    charge(_INVERSE_1024 * (modulus_bits / 1024) ** 1.5)

"""What proofs say they cost."""

from __future__ import annotations

import pytest

from dumpscan.artifacts import effort


def test_charges_go_to_the_payer_of_the_block() -> None:
    outer: list[float] = []
    inner: list[float] = []
    with effort.paid_by(outer.append):
        effort.charge(1)
        with effort.paid_by(inner.append):
            effort.charge(2)
        effort.charge(3)
    effort.charge(4)
    assert (outer, inner) == ([1, 3], [2])


def test_a_payer_that_refuses_ends_the_step() -> None:
    def refuse(_: float) -> None:
        raise effort.TooCostlyError

    with pytest.raises(effort.TooCostlyError), effort.paid_by(refuse):
        effort.charge(1)
    effort.charge(1)


def test_powers_cost_by_their_sizes() -> None:
    paid: list[float] = []
    with effort.paid_by(paid.append):
        effort.charge_power(1024, 1024)
        effort.charge_power(2048, 2048)
        effort.charge_power(4096, 256)
    assert paid == [paid[0], 8 * paid[0], 4 * paid[0]]

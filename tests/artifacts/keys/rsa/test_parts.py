from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.artifacts.keys.rsa.parts import RsaParts, rebuild
from dumpscan.synth.objects.keys import make_key
from support.symcrypt_samples import rsa_numbers

NUMBERS = rsa_numbers(1024)
KEY_ID = make_key("rsa-1024", "symcrypt").key_id
WHOLE = RsaParts(
    modulus=NUMBERS.public_numbers.n,
    exponent=NUMBERS.public_numbers.e,
    p=NUMBERS.p,
    q=NUMBERS.q,
    d=NUMBERS.d,
    dp=NUMBERS.dmp1,
    dq=NUMBERS.dmq1,
)
NAMES = {
    "modulus": "modulus",
    "exponent": "public exponent",
    "p": "prime 1",
    "q": "prime 2",
    "d": "private exponent",
    "dp": "CRT exponent 1",
    "dq": "CRT exponent 2",
}


def only(*kept: str) -> RsaParts:
    return RsaParts(**{name: getattr(WHOLE, name) for name in kept})


@pytest.mark.parametrize("part", ["p", "q", "d", "dp", "dq"])
def test_any_one_part_and_the_public_key_give_the_whole_key(part: str) -> None:
    rebuilt = rebuild(only("modulus", "exponent", part))
    assert rebuilt is not None
    assert (rebuilt.key.key_id, rebuilt.wrong) == (KEY_ID, ())
    assert {"p": "p divides n", "q": "q divides n"}.get(part, f"n factored from {part}") in rebuilt.key.proof


@pytest.mark.parametrize("lost", [names for count in (1, 2) for names in combinations(NAMES, count)], ids=" ".join)
def test_any_two_parts_can_be_missing(lost: tuple[str, ...]) -> None:
    rebuilt = rebuild(only(*(name for name in NAMES if name not in lost)))
    if lost in {("modulus", "p"), ("modulus", "q")}:
        assert rebuilt is None
    else:
        assert rebuilt is not None
        assert (rebuilt.key.key_id, rebuilt.wrong) == (KEY_ID, ())


@pytest.mark.parametrize("part", NAMES)
@pytest.mark.parametrize("change", [1 << 9, 1 << 400, (1 << 512) - 3], ids=["low bit", "high bit", "most bits"])
def test_a_part_that_disagrees_is_named_and_the_key_is_right_all_the_same(part: str, change: int) -> None:
    damaged = replace(WHOLE, **{part: getattr(WHOLE, part) ^ change})
    rebuilt = rebuild(damaged)
    assert rebuilt is not None
    assert (rebuilt.key.key_id, rebuilt.wrong) == (KEY_ID, (NAMES[part],))


def test_primes_of_two_keys_make_none() -> None:
    other = rsa_numbers(2048)
    assert rebuild(replace(WHOLE, p=other.p, modulus=None)) is None


def test_the_order_of_the_primes_is_found_from_the_crt_exponents() -> None:
    swapped = rebuild(RsaParts(modulus=WHOLE.modulus, exponent=WHOLE.exponent, d=WHOLE.d, dp=WHOLE.dq, dq=WHOLE.dp))
    straight = rebuild(only("modulus", "exponent", "d", "dp", "dq"))
    assert swapped is not None
    assert straight is not None
    assert swapped.wrong == straight.wrong == ()


def test_a_public_exponent_is_not_made_up() -> None:
    assert rebuild(replace(only("modulus", "p", "q"), exponent=6)) is None
    assert rebuild(only("modulus", "p", "q")) is None


def test_missing_parts_have_names() -> None:
    assert only("modulus", "exponent", "q").missing() == (
        "prime 1",
        "private exponent",
        "CRT exponent 1",
        "CRT exponent 2",
    )


def test_numbers_are_not_shown() -> None:
    shown = repr(WHOLE)
    assert all(str(getattr(WHOLE, name)) not in shown for name in ("p", "q", "d", "dp", "dq"))


ANY = st.one_of(
    st.none(),
    st.integers(0, 1 << 2048),
    st.sampled_from([WHOLE.modulus, WHOLE.p, WHOLE.q, WHOLE.d, WHOLE.dp, WHOLE.dq, 65537, 0, 1, 2, 3]),
)


@settings(deadline=None, max_examples=60)
@given(st.builds(RsaParts, modulus=ANY, exponent=ANY, p=ANY, q=ANY, d=ANY, dp=ANY, dq=ANY))
def test_whatever_is_put_together_the_key_is_the_real_one_or_none(parts: RsaParts) -> None:
    rebuilt = rebuild(parts)
    if rebuilt is not None:
        # With the real primes another exponent makes another key, which is as real.
        assert rebuilt.key.key_id == KEY_ID or parts.exponent == 3

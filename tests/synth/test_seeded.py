"""Seeded numbers are the same on every run, and primes are prime."""

from __future__ import annotations

from hashlib import sha256
from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.synth import seeded
from dumpscan.synth.seeded import SeededBytes

MERSENNE = (1 << 521) - 1
CARMICHAEL = (561, 41041, 825265, 321197185, 1590231231043178376951698401)


def test_stream_is_determined_by_its_label_alone() -> None:
    first = SeededBytes("a", "b")
    taken = [first.take(size) for size in (1, 40, 1000)]
    second = SeededBytes("a", "b")
    assert [second.take(size) for size in (1, 40, 1000)] == taken
    assert SeededBytes("ab").take(40) != SeededBytes("a", "b").take(40)
    assert len(set(taken)) == 3


def test_stream_never_changes() -> None:
    """A change here would change the bytes of every scenario, those of the committed dump included."""
    digest = sha256(SeededBytes("key", "rsa-2048", "x").take(100)).hexdigest()
    assert digest == "f44f8c7bf3ad984bfc291cdeb7978573b39f051db83241b703a01fe56efd242f"


@given(st.text(max_size=20), st.integers(1, 300))
def test_bits_and_below_stay_in_their_limits(label: str, count: int) -> None:
    source = SeededBytes(label)
    assert source.bits(count) < 1 << count
    assert 0 <= source.below(count) < count


@pytest.mark.parametrize("composite", CARMICHAEL)
def test_composites_that_fool_fermat_are_not_prime(composite: int) -> None:
    assert not seeded._is_prime(composite)


def test_known_primes_are_prime() -> None:
    assert seeded._is_prime(MERSENNE)
    assert not seeded._is_prime(MERSENNE + 2)


def test_sieve_gives_the_primes() -> None:
    primes = seeded._small_primes()
    assert primes[:6] == (2, 3, 5, 7, 11, 13)
    assert len(primes) == 6542  # the number of primes below 2^16
    assert primes[-1] == 65521


@pytest.mark.parametrize("bits", [256, 512])
def test_a_prime_has_the_given_number_of_bits(bits: int) -> None:
    prime = seeded.seeded_prime(SeededBytes("p", str(bits)), bits, coprime_to=65537)
    assert prime.bit_length() == bits
    assert prime >> (bits - 2) == 3
    assert gcd(prime - 1, 65537) == 1
    assert seeded._is_prime(prime)


def test_prime_suits_the_exponent() -> None:
    """With an exponent of 3, every other prime would be of no use."""
    primes = [seeded.seeded_prime(SeededBytes(str(seed)), 128, coprime_to=3) for seed in range(10)]
    assert all(prime % 3 == 2 for prime in primes)


def test_first_prime_of_a_progression_is_found() -> None:
    start = (1 << 64) + 1
    prime = seeded.prime_in_progression(start, 2, 1000)
    assert prime is not None
    assert all(
        any(number % low == 0 for low in seeded._small_primes()) or not seeded._is_prime(number)
        for number in range(start, prime, 2)
    )
    assert seeded.prime_in_progression(start, 2, (prime - start) // 2) is None


def test_rsa_primes_make_a_modulus_of_the_exact_size() -> None:
    for seed in range(5):
        p, q = seeded.seeded_rsa_primes(SeededBytes(str(seed)), 512, 65537)
        assert p > q
        assert (p * q).bit_length() == 512


def test_dsa_group_and_signature_hold() -> None:
    source = SeededBytes("group")
    p, q, g = seeded.seeded_dsa_group(source, 1024, 160)
    assert (p.bit_length(), q.bit_length(), (p - 1) % q) == (1024, 160, 0)
    assert g != 1
    assert pow(g, q, p) == 1
    private = source.below(q - 1) + 1
    digest = sha256(b"message").digest()
    r, s = seeded.dsa_signature((p, q, g), private, digest, source)
    inverse = pow(s, -1, q)
    hashed = int.from_bytes(digest[:20], "big")
    assert pow(g, hashed * inverse, p) * pow(pow(g, private, p), r * inverse, p) % p % q == r

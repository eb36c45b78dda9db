"""Sessions of TLS 1.3: which proven traffic secrets belong together, which are the client's, and the client's random.

The key schedule tells it, where what the secrets follow from lies near (`chain`). Otherwise the layout of a library
does, or the order in which secrets were allocated; nothing checks that. No key depends on the client's random alone. It
is proven if the transcript whose hash is known begins with it; otherwise it is placed by where it lies.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dumpscan.artifacts.tls.chain import Known, chain_at, chain_of
from dumpscan.artifacts.tls.derive import RANDOM_SIZE, derive_secret
from dumpscan.artifacts.tls.hello import transcript_hash
from dumpscan.artifacts.tls.libraries.allocated import JAVA, allocated, is_java
from dumpscan.artifacts.tls.libraries.arrays import in_layouts
from dumpscan.artifacts.tls.libraries.nss import nss_sessions
from dumpscan.artifacts.tls.libraries.rustls import with_randoms
from dumpscan.artifacts.tls.libraries.wolfssl import wolfssl_sessions
from dumpscan.artifacts.tls.near import PAIR_SIZE, looks_random, randoms_before
from dumpscan.artifacts.tls.sessions import (
    CLIENT_TRAFFIC,
    CLIENT_UPDATED,
    SERVER_UPDATED,
    VERSION_13,
    Randoms,
    Secret,
    Session,
)
from dumpscan.memory.space import read_before
from dumpscan.model.c_big_numbers import MAX_POINTER
from dumpscan.model.libraries.c_tls import (
    OPENSSL_111_RANDOMS,
    OPENSSL_MASTER,
    OPENSSL_RANDOMS,
    OPENSSL_STEP,
    OPENSSL_TRANSCRIPT,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dumpscan.artifacts.tls.chain import Chain
    from dumpscan.artifacts.tls.hello import Hello, Hellos
    from dumpscan.artifacts.tls.places import Places
    from dumpscan.artifacts.tls.traffic import TrafficSecret
    from dumpscan.memory.space import Memory

MAX_CHAINS = 1 << 10
"""Places of secrets around which the key schedule is looked for."""
MAX_COPIES = 2
"""Places of one secret around which it is looked for."""
RANDOM_REACH = 4 << 10
"""Bytes before OpenSSL's secrets in which its randoms are looked for, where no known distance fits."""
_UPDATED = "it took the place of the secret from which it follows by an update of keys"
_POINTER = 8
_NEAR = 1 << 10
"""Bytes around a secret in which its place and those of the others of its session are looked for."""


def sessions_13(places: Places, found: Sequence[TrafficSecret], hellos: Hellos) -> Iterator[Session]:
    """Put proven secrets together.

    Args:
        places: What was found in the process.
        found: The secrets, once for each place.
        hellos: The messages that are in its memory.
    """
    yield from _with_only_hellos([*_put_together(places, found, hellos)], hellos)


def _with_only_hellos(sessions: Sequence[Session], hellos: Hellos) -> Iterator[Session]:
    """Yield sessions; those of Java without a random get those of the ClientHellos that are left, if they are as many.

    Each has to be the only one that offers the session's suite. Nothing else checks it.
    """
    used = {session.randoms.client for session in sessions if session.randoms is not None}
    left = {hello.random: hello for hello in hellos.clients if hello.random not in used and hello.offers_13}
    lacking = [session for session in sessions if session.library == JAVA[0] and session.randoms is None]
    for session in sessions:
        wanted = session in lacking and len(left) == len(lacking)
        fits = [random for random, hello in left.items() if hello.offers(session.suite)] if wanted else []
        rivals = [each for each in lacking if len(fits) == 1 and left[fits[0]].offers(each.suite)]
        yield replace(session, randoms=Randoms(fits[0])) if len(rivals) == 1 else session


def _put_together(places: Places, found: Sequence[TrafficSecret], hellos: Hellos) -> Iterator[Session]:
    """Yield sessions as `sessions_13` does, with the randoms that lie near."""
    proofs = {each.secret: each.proof for each in found}
    done: set[bytes] = set()
    tried: dict[bytes, int] = {}
    for each in found[:MAX_CHAINS]:
        tried[each.secret] = tried.get(each.secret, 0) + 1
        sized = places.sized(each.suite.hash.size)
        hopeless = each.secret in done or tried[each.secret] > MAX_COPIES
        chain = None if hopeless else _openssl_chain(places.memory, each) or chain_of(places.memory, each, sized)
        if chain is not None:
            session = _of_chain(places, each, chain, proofs, hellos)
            done.update(secret.secret for secret in session.secrets)
            yield session
    for others in (in_layouts, nss_sessions, wolfssl_sessions):
        left = [each for each in found if each.secret not in done]
        for session in with_randoms(places, left, others(places, left)):
            done.update(secret.secret for secret in session.secrets)
            yield session
    yield from allocated(places, [each for each in found if each.secret not in done], hellos)


def _of_chain(
    places: Places,
    found: TrafficSecret,
    chain: Chain,
    proofs: Mapping[bytes, str],
    hellos: Hellos,
) -> Session:
    """Make the session of a key schedule."""
    proven, transcript = _hello_of(chain, proofs, hellos.pairs)
    chain = replace(chain, handshake_transcript=chain.handshake_transcript or transcript)
    sized = places.sized(chain.hash.size)
    if found.secret in sized:
        secrets = tuple(chain.secrets(Known(proofs, sized.get)))
        begin = chain.handshake or chain.master  # what lies about longer is moved away from what was allocated with it
        near = hellos.random_before(begin[0], found.suite)
        java = JAVA if is_java(places.memory, found) else (None, None)
        return Session(VERSION_13, found.suite.name, secrets, proven or near, *java)
    secrets = tuple(chain.secrets(Known(proofs, _finder(places.memory, found.address))))
    first = chain.master[0] - OPENSSL_MASTER
    openssl = chain.transcript[0] == first + OPENSSL_TRANSCRIPT
    if openssl:
        secrets += tuple(_updated(places.memory, first, {each.secret for each in secrets}, proofs, chain.hash.size))
    randoms = _openssl_randoms(places.memory, first if openssl else _client_place(secrets))
    if proven is not None:
        held = randoms is not None and randoms.client == proven.client
        randoms = replace(proven, address=randoms.address if randoms is not None and held else None)
    library, structure = ("openssl", "ssl_st") if openssl else (None, None)
    return Session(VERSION_13, found.suite.name, secrets, randoms, library, structure)


def _openssl_chain(memory: Memory, found: TrafficSecret) -> Chain | None:
    """Find what a secret of OpenSSL was derived from, be it the client's or the server's."""
    firsts = (found.address, found.address - OPENSSL_STEP)
    chains = (chain_at(memory, found, first + OPENSSL_MASTER, first + OPENSSL_TRANSCRIPT) for first in firsts)
    return next((each for each in chains if each is not None), None)


def _updated(
    memory: Memory, first: int, others: set[bytes], proofs: Mapping[bytes, str], size: int
) -> Iterator[Secret]:
    """Yield the proven secrets that took the place of others in `ssl_st`, given where the client's lies."""
    for label, address in ((CLIENT_UPDATED, first), (SERVER_UPDATED, first + OPENSSL_STEP)):
        secret = memory.read(address, size)
        if secret in proofs and secret not in others:
            yield Secret(label, secret, address, size, (proofs[secret], _UPDATED))


def _client_place(secrets: Sequence[Secret]) -> int | None:
    """Return where the client's secret lies; None if it is only derived."""
    return next((each.address for each in secrets if each.label == CLIENT_TRAFFIC and not each.derived), None)


def _hello_of(
    chain: Chain, proofs: Mapping[bytes, str], pairs: Sequence[tuple[Hello, Hello]]
) -> tuple[Randoms | None, bytes]:
    """Find the messages of a session: those whose hash is the transcript from which its secrets follow."""
    if chain.handshake is None:
        return None, b""
    for client, server in pairs:
        if server.hash is chain.hash:
            transcript = transcript_hash(client, server, chain.hash)
            secret = derive_secret(chain.handshake[1], chain.hash, b"c hs traffic", transcript)
            if transcript == chain.handshake_transcript or secret in proofs:
                return Randoms(client.random, server.random, proven=True), transcript
    return None, b""


def _finder(memory: Memory, address: int) -> Callable[[bytes], int | None]:
    """Return what finds a secret near an address."""
    head = read_before(memory, address, _NEAR)
    data = head + memory.read(address, _NEAR)

    def find(secret: bytes) -> int | None:
        at = data.find(secret)
        return None if at < 0 else address - len(head) + at

    return find


def _openssl_randoms(memory: Memory, client: int | None) -> Randoms | None:
    """Return the randoms that lie in OpenSSL's object before the client's secret, given where that lies."""
    if client is None:
        return None
    first, past = OPENSSL_RANDOMS
    return (
        randoms_before(memory, max(client + past, 0), past - first)
        or _state_randoms(memory, client)
        or randoms_before(memory, client, RANDOM_REACH)
    )


def _state_randoms(memory: Memory, address: int) -> Randoms | None:
    """Return the randoms of OpenSSL 1.1.1: they lie behind unused MAC secrets in an object that `ssl_st` points to."""
    head = read_before(memory, address, RANDOM_REACH)
    head = head[(len(head) - address) % _POINTER :]
    for at in range(0, len(head) // _POINTER * _POINTER, _POINTER):
        pointer = int.from_bytes(head[at : at + _POINTER], "little")
        if 0 < pointer < MAX_POINTER and pointer % _POINTER == 0:
            data = memory.read(pointer, OPENSSL_111_RANDOMS + PAIR_SIZE)
            pair = data[OPENSSL_111_RANDOMS:]
            unused = data[_POINTER:OPENSSL_111_RANDOMS]
            if len(pair) == PAIR_SIZE and not any(unused):
                server, client = pair[:RANDOM_SIZE], pair[RANDOM_SIZE:]
                if looks_random(server) and looks_random(client):
                    return Randoms(client, server)
    return None

"""The decoding budget: candidates in, proven objects out, in time that is bounded by the bytes searched.

`Decoding` knows nothing of files, so that a hit in physical memory can be decoded in every address space that maps it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from dumpscan.artifacts import der
from dumpscan.artifacts.carrier import MAX_CHARACTERS, Carrier
from dumpscan.artifacts.decoded import BytesDecoder, CutShortError, Decoded, RefusedError
from dumpscan.artifacts.effort import TooCostlyError, paid_by
from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey
from dumpscan.scan.signature import Hit
from dumpscan.search.contents import LOOK, LOOK_BEFORE, Contents

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dumpscan.artifacts.carrier import Span, Unwrapped
    from dumpscan.artifacts.decoded import Decoder, Parsed
    from dumpscan.artifacts.detector import GroupDecoder
    from dumpscan.findings import Finding
    from dumpscan.memory.regions import ReadWords
    from dumpscan.memory.space import Memory
    from dumpscan.scan.searcher import Matches

_MIB = 1 << 20
_FREE = 8 << 10
"""Bytes that looking into a hit may always read: more than most objects have, and no more than to find it costs."""
_FIRST_ALLOWANCE = 64 << 20
_ALLOWANCE_PER_BYTE = 8
"""Bytes beyond those that decoders may read in all, at first and for each byte scanned. Real memory takes a tenth of
one; a file made of large structures within one another would take thousands."""
_FIRST_PATIENCE = 1_000_000
_PATIENCE_PER_MIB = 100_000
"""Microseconds that looking into hits may take, at first and for each MiB that each pass over memory has scanned: there
are three passes. Ordinary memory has three openings in a MiB that come to nothing; one made of nothing but openings has
a hundred thousand."""
_COST_OF_A_HIT = 33
_COST_OF_FOLLOWING = 300
"""Microseconds for a hit that comes to nothing, and for one whose decoder follows pointers that lead nowhere. The cost
of texts and of proofs is added to that; their code announces it (`dumpscan.artifacts.effort`)."""
_COST_OF_UNPROVEN = 200
"""Microseconds that a key takes which nothing proves, beside its decoding: a memory can be made full of such."""
_FREE_PER_BYTE = 1.2
"""Microseconds for each byte of a proven object that are not counted: the proof of an ordinary key takes about as long
as that, so that a memory full of real keys does not use up what hits may take."""
_MOST_CUT_SHORT = 1000
_TOLD_CUT_SHORT = 8
"""Private keys cut short: how many are remembered, and how many are named one by one."""
_MOST_KNOWN = 1 << 16
"""Results that a decoder's memory of what it saw before may hold."""

_MAX_DEPTH = 4
"""Texts within one another: base64 of SAML's XML, say, with base64 of a certificate in it."""
_MIN_OBJECT = 32
"""Bytes of the smallest object."""
_KEYS_ALONE = ("pkcs8", "pem", "openssh")
"""Containers that hold nothing but one encrypted key."""
_MAX_SEEN = 8
"""Texts and certificates remembered of those looked into: hits come in their order, but for shared pages."""


class _MeteredMemory:
    """A memory that counts the bytes read from it, and refuses to give more than a limit."""

    def __init__(self, memory: Memory, limit: int) -> None:
        self._memory = memory
        self._limit = limit
        self.spent = 0
        self.exhausted = False

    @property
    def pointer_size(self) -> int:
        return self._memory.pointer_size

    def read(self, address: int, size: int) -> bytes:
        if self.spent + size > self._limit:
            self.exhausted = True
            raise RefusedError("too much was read already")
        data = self._memory.read(address, size)
        self.spent += len(data)
        return data


class Decoding:
    """Makes objects of hits, for the length of one scan.

    What decoders said of the same bytes before is remembered. How many bytes they read is limited by how many were
    scanned, and so is the time that hits and their proofs may take: no input takes longer than a multiple of its size.

    Args:
        decoders: By the names of the signatures.
        contents: Looks into what text stands for; without it no text is looked into.

    Attributes:
        skipped: Hits that were not looked into to the end because too much was read.
        passed_over: Hits that were not looked into, or not to the end, because those before them took too long.
    """

    def __init__(self, decoders: Mapping[str, Decoder | Carrier], contents: Contents | None = None) -> None:
        self.skipped = 0
        self.passed_over = 0
        self._patience = float(_FIRST_PATIENCE)
        self._cut_short: dict[tuple[int, int], str] = {}
        self._decoders = decoders
        self._contents = contents or Contents(None)
        self._seen: defaultdict[int, _Seen] = defaultdict(_Seen)
        self._known: defaultdict[int, dict[bytes, Parsed | None]] = defaultdict(dict)
        self._allowance = _FIRST_ALLOWANCE

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be done, a sentence each."""
        why = "too many openings announce what is not there"
        told = []
        if self.skipped:
            told.append(f"{self.skipped} large objects not looked into: {why}")
        if self.passed_over:
            told.append(f"{self.passed_over} openings of objects passed over: {why}")
        cut = sorted((address, what) for (_, address), what in self._cut_short.items())
        told += (
            f"the {what} at {address:#x} is cut short: the dump does not hold enough of it to make the key"
            for address, what in cut[:_TOLD_CUT_SHORT]
        )
        if len(cut) > _TOLD_CUT_SHORT:
            told.append(f"{len(cut) - _TOLD_CUT_SHORT} more private keys are cut short")
        return tuple(told)

    @property
    def cut_short(self) -> list[tuple[int, int]]:
        """Where private keys begin of which too much is missing, as (memory, address), the first thousand."""
        return list(self._cut_short)

    def scanned(self, size: int) -> None:
        """Add `size` scanned bytes to the decoding budget."""
        self._allowance = min(self._allowance + size * _ALLOWANCE_PER_BYTE, 2 * _FIRST_ALLOWANCE)
        self._patience += size * _PATIENCE_PER_MIB / _MIB

    def decode(self, memory: Memory, hit: Hit, *, space: int = 0) -> Decoded | None:
        """Return what a hit announces, as it lies in `memory`; None if it is nothing, or came with an earlier hit.

        Args:
            memory: Where it lies.
            hit: What announces it.
            space: Tells apart the memories that hits of one scan are in.
        """
        try:
            decoded = self._decode(memory, hit, self._seen[space], 0)
        except CutShortError as error:
            self._note_cut_short(space, hit.address, error.what)
            return None
        if decoded is not None and decoded.missing and _is_candidate(decoded.finding):
            self._note_cut_short(space, decoded.address, "EC private key")
        return decoded

    def _decode(self, memory: Memory, hit: Hit, seen: _Seen, depth: int, *, opens_text: bool = False) -> Decoded | None:
        """As `decode`.

        Args:
            memory: Where the hit is.
            hit: The hit.
            seen: What has been looked into in that memory.
            depth: How many texts within one another it is in.
            opens_text: Whether it is where the object of a text should open.

        Raises:
            CutShortError: It is a private key, of which too much is missing.
        """
        decoder = self._decoders[hit.signature.name]
        if seen.tells(decoder, hit.address):
            return None
        if opens_text and isinstance(decoder, BytesDecoder):
            decoder = decoder.in_text or decoder
        cost = _COST_OF_A_HIT if isinstance(decoder, BytesDecoder | Carrier) else _COST_OF_FOLLOWING
        if self._patience < cost:
            self.passed_over += 1
            return None
        before = self._patience
        metered = _MeteredMemory(memory, _FREE + self._allowance)
        decoded = None
        try:
            with paid_by(self.pay):
                self.pay(cost)
                if isinstance(decoder, Carrier):
                    decoded = self._unwrap(decoder, metered, hit.address, seen, depth)
                else:
                    decoded = self._decode_object(decoder, metered, hit.address)
                    seen.note(decoded)
        except CutShortError:
            raise
        except RefusedError:
            pass
        except TooCostlyError:
            self.passed_over += 1
        finally:
            self.skipped += metered.exhausted
            self._allowance -= max(metered.spent - _FREE, 0)
        if decoded is not None and _is_proven(decoded.finding):
            self._patience = min(before, self._patience + _COST_OF_A_HIT + _FREE_PER_BYTE * decoded.length)
        elif decoded is not None:
            self._patience -= _COST_OF_UNPROVEN
        return decoded

    def _decode_object(self, decoder: Decoder, memory: Memory, address: int) -> Decoded | None:
        if isinstance(decoder, BytesDecoder):
            return decoder.decode(memory, address, self._known_to(decoder))
        return decoder(memory, address)

    def decode_together(
        self, memory: Memory, words: ReadWords, decoder: GroupDecoder, matches: Matches
    ) -> Iterator[Decoded]:
        """Yield what the matches of a searcher in one address space make together, as long as the budget lasts."""
        metered = _MeteredMemory(memory, _FREE + self._allowance)
        found: list[Decoded] = []
        try:
            with paid_by(self.pay):
                for decoded in decoder(metered, words, matches):
                    found.append(decoded)  # noqa: PERF402 - what came before an error stays
        except RefusedError:
            pass
        except TooCostlyError:
            self.passed_over += 1
        self.skipped += metered.exhausted
        self._allowance -= max(metered.spent - _FREE, 0)
        yield from found

    def _unwrap(self, carrier: Carrier, memory: Memory, address: int, seen: _Seen, depth: int) -> Decoded | None:
        """Decode what text stands for, in the first way to read it that gives an object."""
        if depth == _MAX_DEPTH:
            return None
        cut: CutShortError | None = None
        for text in carrier.readings(memory, address):
            try:
                decoded = self._decode_text(text, memory, seen, depth + 1)
            except CutShortError as error:
                cut = cut or error
            else:
                if decoded is not None:
                    return decoded
        if cut is not None:
            raise cut
        return None

    def _decode_text(self, text: Unwrapped, memory: Memory, seen: _Seen, depth: int) -> Decoded | None:
        """Decode one reading of a text: what opens where an object should, then what follows or is inside."""
        if text.finding is not None:
            return _at(text.finding, text.span(0, 0), memory)
        inside = _Inside(text, depth)
        cut: tuple[CutShortError, int] | None = None
        begin = max(text.opening - LOOK_BEFORE, 0)
        for hit in self._contents.near(text.content.read(begin, text.opening - begin + LOOK)):
            at = Hit(hit.signature, begin + hit.address)
            try:
                self._decode_inside(inside, at, wanted=not inside.parts)
            except CutShortError as error:
                cut = cut or (error, at.address)
        if inside.parts or text.is_bundle:
            self._decode_others(inside)
        if not inside.parts:
            if cut is not None and (there := _much_of_structure(text.content, cut[1])):
                seen.add_text(text.span(cut[1], cut[1] + there))
                raise cut[0]
            return None
        first, *others = (_outside(part, text, memory) for part in inside.parts)
        if text.is_covered:
            seen.add_text(first, *others)
        return replace(first, others=tuple(others))

    def _decode_inside(self, inside: _Inside, hit: Hit, *, wanted: bool = True) -> None:
        """Decode what opens somewhere in what a text stands for; what is cut by its end counts only if it is a key."""
        inside.looked.add(hit.address)
        text = inside.text
        decoded = None
        if wanted:
            opens_text = hit.address == text.opening
            decoded = self._decode(text.content, hit, inside.seen, inside.depth, opens_text=opens_text)
        if decoded is not None and text.accepts(decoded):
            is_text = isinstance(self._decoders[hit.signature.name], Carrier)
            inside.parts += (
                _Part(each, is_text=is_text)
                for each in decoded
                if not each.missing or isinstance(each.finding, PrivateKey)
            )

    def _decode_others(self, inside: _Inside) -> None:
        """Decode what lies behind the object that was found, or anywhere if there is none or it is a container."""
        begin = 0
        if inside.parts and not _may_hold_others(inside.parts[0].decoded.finding):
            begin = max(part.decoded.address + part.decoded.length for part in inside.parts)
        try:
            data = inside.text.content.read(begin, MAX_CHARACTERS)
        except RefusedError:  # too much was read already: what was found before counts all the same
            return
        self._allowance -= len(data)
        for hit in self._contents.anywhere(data) if len(data) >= _MIN_OBJECT else ():
            at = Hit(hit.signature, begin + hit.address)
            if at.address not in inside.looked:
                with suppress(CutShortError):
                    self._decode_inside(inside, at)

    def pay(self, microseconds: float) -> None:
        """Take time from what hits may take.

        Raises:
            TooCostlyError: There is not so much left.
        """
        if self._patience < microseconds:
            raise TooCostlyError
        self._patience -= microseconds

    def _note_cut_short(self, space: int, address: int, what: str) -> None:
        if len(self._cut_short) < _MOST_CUT_SHORT:
            self._cut_short.setdefault((space, address), what)

    def _known_to(self, decoder: Decoder) -> dict[bytes, Parsed | None]:
        known = self._known[id(decoder)]
        if len(known) >= _MOST_KNOWN:
            known.clear()
        return known


class _Seen:
    """What has been looked into in a memory: the last few texts, and the last few certificates."""

    def __init__(self) -> None:
        self._texts: deque[tuple[int, int]] = deque(maxlen=_MAX_SEEN)
        self._certificates: deque[tuple[int, int]] = deque(maxlen=_MAX_SEEN)

    def add_text(self, *objects: Decoded | Span) -> None:
        """Add the stretch of text from the first to the last of objects or texts."""
        begin = min(each.address for each in objects)
        self._texts.append((begin, max(each.address + each.length for each in objects)))

    def note(self, decoded: Decoded | None) -> None:
        """Add an object, if it is a certificate that tells its public key."""
        if decoded is not None and isinstance(decoded.finding, Certificate) and decoded.finding.key_id is not None:
            self._certificates.append((decoded.address, decoded.address + decoded.length))

    def tells(self, decoder: Decoder | Carrier, address: int) -> bool:
        """Whether what lies around an address has told already what a decoder would find there."""
        if isinstance(decoder, Carrier):
            return any(begin <= address < end for begin, end in self._texts)
        if isinstance(decoder, BytesDecoder) and decoder.in_certificates:
            return any(begin < address < end for begin, end in self._certificates)
        return False


@dataclass(slots=True)
class _Inside:
    """What is done with what a text stands for.

    Attributes:
        text: The text.
        depth: How many texts within one another it is, itself included.
        parts: The objects found.
        looked: Places that have been looked into.
        seen: As for `Decoding._decode`, of what is within.
    """

    text: Unwrapped
    depth: int
    parts: list[_Part] = field(default_factory=list)
    looked: set[int] = field(default_factory=set)
    seen: _Seen = field(default_factory=_Seen)


class _Part(NamedTuple):
    """An object in what text stands for.

    Attributes:
        decoded: The object, at its place there.
        is_text: Whether it is written as text there, too.
    """

    decoded: Decoded
    is_text: bool


def _outside(part: _Part, text: Unwrapped, memory: Memory) -> Decoded:
    """Return an object at the place of its text."""
    decoded = part.decoded
    span = text.span(decoded.address, decoded.address + decoded.length - decoded.missing)
    encoding = f"{span.encoding}+{decoded.encoding}" if part.is_text else span.encoding
    return _at(decoded.finding, replace(span, encoding=encoding), memory, decoded.missing)


def _at(finding: Finding, span: Span, memory: Memory, missing: int = 0) -> Decoded:
    """Return what text at a place says; a key's hash and size are those of its text."""
    digest = sha256(memory.read(span.address, span.length)).hexdigest()
    if isinstance(finding, PrivateKey):
        finding = replace(finding, sha256=digest, size=span.length)
    return Decoded(finding, span.address, span.length + missing, digest, span.encoding, missing)


def _may_hold_others(finding: Finding) -> bool:
    """Whether objects that are not encrypted may lie within: certificates in a key store, say."""
    return isinstance(finding, EncryptedContainer) and finding.container not in _KEYS_ALONE


def _much_of_structure(content: Memory, address: int) -> int:
    """Return how many bytes are there of a structure; none if it is little of it, as in some documentation.

    In two fifths of an RSA key there are three quarters of its private exponent, of which its primes may be computed
    (Boneh, Durfee, Frankel, An Attack on RSA Given a Small Fraction of the Private Key Bits, 1998).
    """
    try:
        total = der.header(content.read(address, der.HEADER_SIZE)).total
    except RefusedError:
        return 0
    there = len(content.read(address, total))
    return there if 5 * there >= 2 * total else 0


def _is_proven(finding: Finding) -> bool:
    """Whether an object is more than a key with nothing in it to check."""
    return not isinstance(finding, PrivateKey) or bool(finding.proof)


def _is_candidate(finding: Finding) -> bool:
    """Whether an object is one reading of a private value whose curve is not told."""
    return isinstance(finding, PrivateKey) and finding.needs_support

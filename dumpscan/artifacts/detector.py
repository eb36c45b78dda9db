"""What finds a kind of object together with what makes sense of it: the form in which `registry` lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.carrier import Carrier
    from dumpscan.artifacts.decoded import Decoded, Decoder
    from dumpscan.memory.regions import ReadWords
    from dumpscan.memory.space import Memory
    from dumpscan.scan.searcher import Matches, Searcher
    from dumpscan.scan.signature import Signature

Detector = tuple["Signature | Searcher", "Decoder | Carrier"]
"""What finds a kind of object, and what makes sense of a place that it found.

A signature is looked for by the engine, all signatures in one pass; a searcher makes a pass of its own. Every module of
a kind of object exports its `DETECTORS`.
"""


class GroupDecoder(Protocol):
    """Makes objects of all places that a searcher found in one address space: those that only several places tell."""

    def __call__(self, memory: Memory, words: ReadWords, matches: Matches) -> Iterator[Decoded]:
        """Decode the objects that these places make together.

        Args:
            memory: The memory of one process.
            words: Reads many words of the same memory at once.
            matches: The places, by address.

        Raises:
            TooCostlyError: A step would cost more than is left; what was yielded before stays.
        """


GroupDetector = tuple["Searcher", GroupDecoder]
"""What finds places, and what makes sense of all of them together."""

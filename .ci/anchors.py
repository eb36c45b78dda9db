"""Make the table of anchors anew, after a signature has changed (`dumpscan/scan/anchors.txt`).

    python .ci/anchors.py > dumpscan/scan/anchors.txt

A signature that is not in the table works as any other, but its anchor is chosen whenever a process starts.
"""

from __future__ import annotations

import sys

from dumpscan.artifacts.registry import EVERYTHING
from dumpscan.scan.anchors import table_of
from dumpscan.scan.signature import Signature


def expressions() -> list[bytes]:
    """Return the expressions of all signatures that are looked for in memory, each once."""
    signatures = (finder for finder, _ in EVERYTHING.detectors if isinstance(finder, Signature))
    return list(dict.fromkeys(each.expression for each in signatures if not each.only_in_text))


if __name__ == "__main__":
    sys.stdout.write(table_of(expressions()))

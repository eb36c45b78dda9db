"""`python -m fuzz.measure [KIND ...]`: how long a search of hostile contents takes, and what it announces.

The figures in `dumpscan` are of one processor core of 2020. Where a kind takes much longer than it announces, a charge
is missing (`dumpscan.artifacts.effort`).
"""

from __future__ import annotations

import sys
import time

from fuzz.contents import NAMES, announced, content
from fuzz.test_contents import SIZES

_KIB = 1024


def main() -> None:
    """Measure kinds, all by default."""
    announced("ed25519", _KIB)  # what is made once
    for kind in sys.argv[1:] or NAMES:
        size = SIZES.get(kind, 16) * _KIB
        content(kind, size)
        begun = time.process_time()
        said = announced(kind, size)
        taken = (time.process_time() - begun) * 1e6
        print(f"{kind:24} {taken * _KIB / size:10.0f} us/KiB, announced {said * _KIB / size:10.0f}")  # noqa: T201


main()

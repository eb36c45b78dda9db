"""Names the operating systems whose kernels dumpscan does not understand, by what these say of themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dumpscan.memory.physical.image import PhysicalImage

_SYSTEMS = (
    # What a kernel's banner contains, the whole banner, and the system.
    (b"Darwin Kernel Version ", rb"Darwin Kernel Version \d+\.\d+\.\d+: [^\0\n]{10,64}; root:xnu", "macOS"),
    (b"@(#)FreeBSD ", rb"@\(#\)FreeBSD \d+\.\d+-[A-Z]", "FreeBSD"),
    (b"@(#)OpenBSD ", rb"@\(#\)OpenBSD \d+\.\d+", "OpenBSD"),
    (b"@(#)NetBSD ", rb"@\(#\)NetBSD \d+\.\d+", "NetBSD"),
    (b"VMware ESXi ", rb"VMware ESXi \d+\.\d+\.\d+ \[Releasebuild-\d+", "VMware ESXi"),
)
_LONGEST = 160
_MAX_TRIES = 64
"""Places of a banner's first words that are looked at: texts and programs have them, too."""


def foreign_system(image: PhysicalImage) -> str | None:
    """Return the name of a system that dumpscan does not understand, if its kernel's banner is in the image.

    Args:
        image: Physical memory.
    """
    tries = 0
    for _, data in image.chunks(_LONGEST):
        for words, banner, name in _SYSTEMS:
            at = data.find(words)
            while at >= 0 and tries < _MAX_TRIES:
                if re.compile(banner).match(data, at):
                    return name
                tries += 1
                at = data.find(words, at + 1)
    return None

"""The operating systems whose kernels dumpscan understands. A new one is an entry in `SYSTEMS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.memory.kernel.windows.profile import WindowsProfile, adopt_windows

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.memory.kernel.profile import ImageContext, KernelProfile

SYSTEMS: tuple[Callable[[ImageContext], KernelProfile], ...] = (WindowsProfile,)

adopt = adopt_windows
"""Takes over a kernel that volatility3 has found; its plugins for dumpscan are for Windows."""


def find_profile(context: ImageContext) -> KernelProfile:
    """Return the profile of the operating system whose kernel is in an image.

    If there is no such kernel, the first profile is returned; it says what it looked for when it is asked for more.
    """
    profiles = [system(context) for system in SYSTEMS]
    if len(profiles) == 1:
        return profiles[0]
    return next((profile for profile in profiles if profile.is_found()), profiles[0])

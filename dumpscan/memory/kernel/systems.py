"""The operating systems whose kernels dumpscan understands. A new one is an entry in `SYSTEMS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dumpscan.memory.kernel.profile import ImageContext, KernelProfile
    from dumpscan.memory.volatility import Volatility


def _linux(context: ImageContext) -> KernelProfile:
    from dumpscan.memory.kernel.linux.profile import LinuxProfile  # noqa: PLC0415 - an image has one kernel

    return LinuxProfile(context)


def _windows(context: ImageContext) -> KernelProfile:
    from dumpscan.memory.kernel.windows.profile import WindowsProfile  # noqa: PLC0415 - see above

    return WindowsProfile(context)


SYSTEMS: tuple[Callable[[ImageContext], KernelProfile], ...] = (_windows, _linux)
"""The first one says what was looked for where there is no kernel. As it takes longest, it is looked for last."""


def adopt(context: Volatility, module: str) -> tuple[Path, Callable[[ImageContext], KernelProfile]]:
    """Take over a kernel that volatility3 has found; its plugins for dumpscan are for Windows.

    Raises:
        InputError: The image is not a local file.
    """
    from dumpscan.memory.kernel.windows.profile import adopt_windows  # noqa: PLC0415 - see above

    return adopt_windows(context, module)


def find_profile(context: ImageContext) -> KernelProfile:
    """Return the profile of the operating system whose kernel is in an image.

    If there is no such kernel, the first profile is returned; it says what it looked for when it is asked for more.
    """
    profiles: list[KernelProfile] = []
    for system in reversed(SYSTEMS):
        profiles.insert(0, system(context))
        if profiles[0].is_found():
            return profiles[0]
    return next((profile for profile in profiles if profile.search_further()), profiles[0])

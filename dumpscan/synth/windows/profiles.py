"""The versions of Windows whose kernels the layouts describe, and how they differ otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from dumpscan.synth.windows.layouts import VERSIONS


@dataclass(frozen=True, slots=True)
class Profile:
    """A version of the Windows x64 kernel.

    Attributes:
        name: Its column in `layouts.LAYOUTS`.
        major: `NtMajorVersion`.
        minor: `NtMinorVersion`.
        build: Build number.
        revision: Second part of the build number in the kernel's file version.
        lab: The part of NtBuildLab behind the build number and revision.
        service_pack: Number of the service pack.
    """

    name: str
    major: int
    minor: int
    build: int
    revision: int
    lab: str
    service_pack: int = 0

    @property
    def column(self) -> int:
        """Index of this version's column in the layouts."""
        return VERSIONS.index(self.name)

    @property
    def build_lab(self) -> str:
        """Text at the symbol NtBuildLab."""
        return f"{self.build}.{self.revision}.{self.lab}"

    @property
    def fixed_self_map(self) -> bool:
        """Whether the top page table refers to itself at index 0x1ED, as before Windows 10 1607."""
        return self.build < 14393  # noqa: PLR2004 -- Windows 10 1607

    @property
    def object_cookie(self) -> bool:
        """Whether the type index in an object header is encoded, as from Windows 10 on."""
        return self.major >= 10  # noqa: PLR2004 -- Windows 10

    @property
    def pool_tag(self) -> bytes:
        """Pool tag of a process object. Before Windows 8, its top bit marks a protected allocation."""
        return b"Pro\xe3" if self.build < 9200 else b"Proc"  # noqa: PLR2004 -- Windows 8


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("7sp1", 6, 1, 7601, 17514, "amd64fre.win7sp1_rtm.101119-1850", service_pack=1),
        Profile("8.1", 6, 3, 9600, 16384, "amd64fre.winblue_rtm.130821-1623"),
        Profile("1607", 10, 0, 14393, 0, "amd64fre.rs1_release.160715-1616"),
        Profile("1809", 10, 0, 17763, 1, "amd64fre.rs5_release.180914-1434"),
        Profile("2004", 10, 0, 19041, 1, "amd64fre.vb_release.191206-1406"),
        Profile("21h2", 10, 0, 22000, 1, "amd64fre.co_release.210604-1628"),
        Profile("22h2", 10, 0, 22621, 1, "amd64fre.ni_release.220506-1250"),
    )
}
"""The versions by name. Each NtBuildLab is that of the release's first build."""

REAL_KERNELS = {
    "339E74133576439CBCDF7E0229DA3773": "7sp1",
    "517E128F7B7C4EA79491DE6B9B9CE190": "1607",
    "8B11040A5928757B11390AC78F6B6925": "1809",
    "1B4A6F5E0766C552C90710C8ACC0295C": "2004",
    "32C1A669D5FFEFD41091F636CFDB6E99": "21h2",
}
"""GUIDs of the ntkrnlmp.pdb files from which the layouts were taken, and the version of each."""

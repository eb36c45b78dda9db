"""Windows versions whose kernels the model knows, and what distinguishes them besides their structures' layouts."""

from __future__ import annotations

from dataclasses import dataclass

from dumpscan.synth.windows.layouts import VERSIONS


@dataclass(frozen=True, slots=True)
class Profile:
    """A version of the Windows x64 kernel.

    Attributes:
        name: Column of `layouts.LAYOUTS`.
        title: What people call it.
        major: `NtMajorVersion`.
        minor: `NtMinorVersion`.
        build: Build number.
        revision: Build number after the dot, as in the kernel's file version.
        build_lab: Text at the symbol NtBuildLab.
        service_pack: Number of the service pack.
        fixed_self_map: Whether the top page table refers to itself at index 0x1ED, as it did before Windows 10 1607.
        object_cookie: Whether object headers' type indices are encoded (since Windows 10).
        pool_tag: Pool tag of a process object; before Windows 8 its top bit marks a protected allocation.
    """

    name: str
    title: str
    major: int
    minor: int
    build: int
    revision: int
    build_lab: str
    service_pack: int = 0
    fixed_self_map: bool = False
    object_cookie: bool = True
    pool_tag: bytes = b"Proc"

    @property
    def column(self) -> int:
        """Index of this version's column in the layouts."""
        return VERSIONS.index(self.name)


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="7sp1",
            title="Windows 7 SP1",
            major=6,
            minor=1,
            build=7601,
            revision=17514,
            build_lab="7601.17514.amd64fre.win7sp1_rtm.101119-1850",
            service_pack=1,
            fixed_self_map=True,
            object_cookie=False,
            pool_tag=b"Pro\xe3",
        ),
        Profile(
            name="8.1",
            title="Windows 8.1",
            major=6,
            minor=3,
            build=9600,
            revision=16384,
            build_lab="9600.16384.amd64fre.winblue_rtm.130821-1623",
            fixed_self_map=True,
            object_cookie=False,
        ),
        Profile(
            name="1607",
            title="Windows 10 1607",
            major=10,
            minor=0,
            build=14393,
            revision=0,
            build_lab="14393.0.amd64fre.rs1_release.160715-1616",
        ),
        Profile(
            name="1809",
            title="Windows 10 1809",
            major=10,
            minor=0,
            build=17763,
            revision=1,
            build_lab="17763.1.amd64fre.rs5_release.180914-1434",
        ),
        Profile(
            name="2004",
            title="Windows 10 2004",
            major=10,
            minor=0,
            build=19041,
            revision=1,
            build_lab="19041.1.amd64fre.vb_release.191206-1406",
        ),
        Profile(
            name="21h2",
            title="Windows 11 21H2",
            major=10,
            minor=0,
            build=22000,
            revision=1,
            build_lab="22000.1.amd64fre.co_release.210604-1628",
        ),
        Profile(
            name="22h2",
            title="Windows 11 22H2",
            major=10,
            minor=0,
            build=22621,
            revision=1,
            build_lab="22621.1.amd64fre.ni_release.220506-1250",
        ),
    )
}
"""Known versions by name. NtBuildLab texts are those of the releases' first builds."""

REAL_KERNELS = {
    "339E74133576439CBCDF7E0229DA3773": "7sp1",
    "517E128F7B7C4EA79491DE6B9B9CE190": "1607",
    "8B11040A5928757B11390AC78F6B6925": "1809",
    "1B4A6F5E0766C552C90710C8ACC0295C": "2004",
    "32C1A669D5FFEFD41091F636CFDB6E99": "21h2",
}
"""GUIDs of ntkrnlmp.pdb whose symbols the layouts were taken from, and the version of each."""

"""SystemInfo and MiscInfo: the system that a minidump was taken on, and some facts about the process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dumpscan.memory.minidump.stream_reader import MISSING_DATA
from dumpscan.memory.records import decode_utf16, unix_time
from dumpscan.model.c_minidump import c_minidump

if TYPE_CHECKING:
    from datetime import datetime

    from dumpscan.memory.minidump.stream_reader import Stream, StreamReader

_ARCHITECTURES = {
    "INTEL": "x86",
    "IA32_ON_WIN64": "x86",
    "IA32_ON_ARM64": "x86",
    "AMD64": "x64",
    "ARM64": "arm64",
    "BREAKPAD_ARM64": "arm64",
    "ARM": "arm",
    "ARM32_ON_WIN64": "arm",
    "BREAKPAD_PPC64": "ppc64",
    "BREAKPAD_MIPS64": "mips64",
    "BREAKPAD_SPARC": "sparc",
    "BREAKPAD_RISCV": "riscv",
    "BREAKPAD_RISCV64": "riscv64",
}
_OPERATING_SYSTEMS = {
    "WIN32s": "Windows",
    "WIN32_WINDOWS": "Windows",
    "WIN32_NT": "Windows",
    "WIN32_CE": "Windows CE",
    "UNIX": "Unix",
    "MAC_OS_X": "macOS",
    "IOS": "iOS",
    "LINUX": "Linux",
    "SOLARIS": "Solaris",
    "ANDROID": "Android",
    "PS3": "PS3",
    "NACL": "NaCl",
    "FUCHSIA": "Fuchsia",
}
_PRODUCT_TYPES = {1: "workstation", 2: "domain controller", 3: "server"}
_MIN_SYSTEM_INFO = 24  # up to PlatformId
_MIN_MISC_INFO = 12  # SizeOfInfo, Flags1, ProcessId


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemInfo:
    """The system that the dump was taken on.

    Attributes:
        architecture: `x86`, `x64`, `arm64`, `arm` …; `unknown (N)` for others.
        operating_system: `Windows`, `Linux`, `macOS` …
        major: Version of the system.
        minor: Minor version.
        build: Build number.
        service_pack: Further text, such as `Service Pack 1`; on Linux, what `uname` prints.
        processors: Number of processors.
        processor_level: Family of the processor, in its maker's numbers.
        processor_revision: Model and stepping.
        product_type: Windows' edition: `workstation`, `server` or `domain controller`.
    """

    architecture: str
    operating_system: str
    major: int
    minor: int
    build: int
    service_pack: str | None
    processors: int
    processor_level: int
    processor_revision: int
    product_type: str | None

    @property
    def version(self) -> str:
        """E.g. `10.0.19041`."""
        return f"{self.major}.{self.minor}.{self.build}"

    @property
    def pointer_size(self) -> int:
        """Size of a pointer in bytes: 4 or 8."""
        return 8 if self.architecture.endswith("64") or self.architecture == "ia64" else 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MiscInfo:
    """What MiscInfo says about the process. Values that its version or its flags leave out are None.

    Attributes:
        version: 1 to 5, according to the stream's size.
        process_id: Id of the process.
        created: Start of the process, UTC.
        user_seconds: Processor time in user mode.
        kernel_seconds: Processor time in the kernel.
        integrity_level: Windows' integrity level, e.g. 0x2000 for medium.
        protected: Whether it is a protected process.
        time_zone: Name of the system's time zone.
        utc_offset: Minutes to be added to UTC for local standard time.
        build_string: Build of the system, e.g. `19041.1.amd64fre.vb_release.191206-1406`.
        debug_build_string: Build of the program that wrote the dump.
    """

    version: int
    process_id: int | None = None
    created: datetime | None = None
    user_seconds: int | None = None
    kernel_seconds: int | None = None
    integrity_level: int | None = None
    protected: bool | None = None
    time_zone: str | None = None
    utc_offset: int | None = None
    build_string: str | None = None
    debug_build_string: str | None = None


def read_system_info(reader: StreamReader, stream: Stream) -> SystemInfo | None:
    """Read SystemInfo; return None if it is too short."""
    info = reader.structure(stream, c_minidump.MINIDUMP_SYSTEM_INFO, _MIN_SYSTEM_INFO)
    if info is None:
        return None
    code = int(info.ProcessorArchitecture)
    name = c_minidump.PROCESSOR_ARCHITECTURE(code).name
    platform = c_minidump.MINIDUMP_PLATFORM(int(info.PlatformId)).name
    architecture = _ARCHITECTURES.get(name, name.lower()) if name and name != "UNKNOWN" else f"unknown ({code:#x})"
    service_pack_offset = int(info.CSDVersionRva)
    service_pack = reader.string16(service_pack_offset)
    if service_pack is None and service_pack_offset:
        reader.complain(stream, f"the text of the service pack is unreadable or lies {MISSING_DATA}")
    windows = platform is not None and platform.startswith("WIN32")
    return SystemInfo(
        architecture=architecture,
        operating_system=_OPERATING_SYSTEMS.get(platform) or f"unknown ({int(info.PlatformId):#x})",
        major=int(info.MajorVersion),
        minor=int(info.MinorVersion),
        build=int(info.BuildNumber),
        service_pack=service_pack or None,
        processors=int(info.NumberOfProcessors),
        processor_level=int(info.ProcessorLevel),
        processor_revision=int(info.ProcessorRevision),
        product_type=_PRODUCT_TYPES.get(int(info.ProductType)) if windows else None,
    )


def read_misc_info(reader: StreamReader, stream: Stream) -> MiscInfo | None:
    """Read MiscInfo of any version; return None if it is too short."""
    layouts = [c_minidump.MINIDUMP_MISC_INFO] + [getattr(c_minidump, f"MINIDUMP_MISC_INFO_{n}") for n in (2, 3, 4, 5)]
    info4 = reader.structure(stream, layouts[3], _MIN_MISC_INFO)  # of the fifth, nothing is used
    if info4 is None:
        return None
    info3 = info4.Info3
    info1 = info3.Info2.Info1
    size = min(int(info1.SizeOfInfo), stream.present)
    version = max((n for n, layout in enumerate(layouts, 1) if size >= layout.size), default=1)
    flags = int(info1.Flags1)
    found: dict[str, Any] = {}
    if flags & c_minidump.MINIDUMP_MISC1_PROCESS_ID:
        found["process_id"] = int(info1.ProcessId)
    if flags & c_minidump.MINIDUMP_MISC1_PROCESS_TIMES and size >= layouts[0].size:
        found["created"] = unix_time(int(info1.ProcessCreateTime))
        found["user_seconds"] = int(info1.ProcessUserTime)
        found["kernel_seconds"] = int(info1.ProcessKernelTime)
    if size >= layouts[2].size:
        if flags & c_minidump.MINIDUMP_MISC3_PROCESS_INTEGRITY:
            found["integrity_level"] = int(info3.ProcessIntegrityLevel)
        if flags & c_minidump.MINIDUMP_MISC3_PROTECTED_PROCESS:
            found["protected"] = bool(info3.ProtectedProcess)
        if flags & c_minidump.MINIDUMP_MISC3_TIMEZONE:
            found["time_zone"] = _text16(info3.TimeZone.StandardName)
            found["utc_offset"] = -int(info3.TimeZone.Bias)
    if size >= layouts[3].size and flags & c_minidump.MINIDUMP_MISC4_BUILDSTRING:
        found["build_string"] = _text16(info4.BuildString)
        found["debug_build_string"] = _text16(info4.DbgBldStr)
    return MiscInfo(version=version, **found)


def _text16(field: bytes) -> str:
    """Decode a fixed-size field of UTF-16 up to its NUL."""
    return decode_utf16(field).split("\0", 1)[0]

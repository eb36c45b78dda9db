"""Layouts of the minidump format: header, directory and streams.

Field names and sizes follow Microsoft's `minidumpapiset.h` and `winnt.h` (packed to 4 bytes, so no hidden padding);
the 0x4767.... stream types are those of Google Breakpad's `minidump_format.h`, 0x4350.... those of Crashpad's
`minidump_extensions.h`, 0x4D7A.... those of Mozilla's `minidump-common`. An RVA is an offset in bytes from the
beginning of the file. `c_minidump` has the streams of `c_breakpad` and the CPU contexts of `c_context` as well.
"""

from __future__ import annotations

from dumpscan.model.c_breakpad import breakpad_def
from dumpscan.model.c_context import context_def
from dumpscan.model.structures import structures

SIGNATURE = b"MDMP"
VERSION = 0xA793
"""Low word of `MINIDUMP_HEADER.Version`; the high word is the writer's own."""

minidump_def = """
enum MINIDUMP_STREAM_TYPE : uint32 {
    UnusedStream                    = 0,
    ReservedStream0                 = 1,
    ReservedStream1                 = 2,
    ThreadListStream                = 3,
    ModuleListStream                = 4,
    MemoryListStream                = 5,
    ExceptionStream                 = 6,
    SystemInfoStream                = 7,
    ThreadExListStream              = 8,
    Memory64ListStream              = 9,
    CommentStreamA                  = 10,
    CommentStreamW                  = 11,
    HandleDataStream                = 12,
    FunctionTableStream             = 13,
    UnloadedModuleListStream        = 14,
    MiscInfoStream                  = 15,
    MemoryInfoListStream            = 16,
    ThreadInfoListStream            = 17,
    HandleOperationListStream       = 18,
    TokenStream                     = 19,
    JavaScriptDataStream            = 20,
    SystemMemoryInfoStream          = 21,
    ProcessVmCountersStream         = 22,
    IptTraceStream                  = 23,
    ThreadNamesStream               = 24,
    BreakpadInfoStream              = 0x47670001,
    AssertionInfoStream             = 0x47670002,
    LinuxCpuInfoStream              = 0x47670003,
    LinuxProcStatusStream           = 0x47670004,
    LinuxLsbReleaseStream           = 0x47670005,
    LinuxCmdLineStream              = 0x47670006,
    LinuxEnvironStream              = 0x47670007,
    LinuxAuxvStream                 = 0x47670008,
    LinuxMapsStream                 = 0x47670009,
    LinuxDsoDebugStream             = 0x4767000A,
    CrashpadInfoStream              = 0x43500001,
    MozMacosCrashInfoStream         = 0x4D7A0001,
    MozMacosBootargsStream          = 0x4D7A0002,
    MozLinuxLimitsStream            = 0x4D7A0003,
    MozSoftErrorsStream             = 0x4D7A0004
};

enum PROCESSOR_ARCHITECTURE : uint16 {
    INTEL           = 0,
    MIPS            = 1,
    ALPHA           = 2,
    PPC             = 3,
    ARM             = 5,
    IA64            = 6,
    AMD64           = 9,
    IA32_ON_WIN64   = 10,
    ARM64           = 12,
    ARM32_ON_WIN64  = 13,
    IA32_ON_ARM64   = 14,
    BREAKPAD_SPARC  = 0x8001,
    BREAKPAD_PPC64  = 0x8002,
    BREAKPAD_ARM64  = 0x8003,
    BREAKPAD_MIPS64 = 0x8004,
    BREAKPAD_RISCV  = 0x8005,
    BREAKPAD_RISCV64 = 0x8006,
    UNKNOWN         = 0xFFFF
};

/* MINIDUMP_SYSTEM_INFO.PlatformId: VER_PLATFORM_*, and from 0x8000 on Breakpad's MD_OS_*. */
enum MINIDUMP_PLATFORM : uint32 {
    WIN32s          = 0,
    WIN32_WINDOWS   = 1,
    WIN32_NT        = 2,
    WIN32_CE        = 3,
    UNIX            = 0x8000,
    MAC_OS_X        = 0x8101,
    IOS             = 0x8102,
    LINUX           = 0x8201,
    SOLARIS         = 0x8202,
    ANDROID         = 0x8203,
    PS3             = 0x8204,
    NACL            = 0x8205,
    FUCHSIA         = 0x8206
};

typedef struct {
    char    Signature[4];
    uint32  Version;
    uint32  NumberOfStreams;
    uint32  StreamDirectoryRva;
    uint32  CheckSum;
    uint32  TimeDateStamp;
    uint64  Flags;
} MINIDUMP_HEADER;

typedef struct {
    uint32  DataSize;
    uint32  Rva;
} MINIDUMP_LOCATION_DESCRIPTOR;

typedef struct {
    uint32  StreamType;
    MINIDUMP_LOCATION_DESCRIPTOR Location;
} MINIDUMP_DIRECTORY;

typedef struct {
    uint64  StartOfMemoryRange;
    MINIDUMP_LOCATION_DESCRIPTOR Memory;
} MINIDUMP_MEMORY_DESCRIPTOR;

typedef struct {
    uint64  StartOfMemoryRange;
    uint64  DataSize;
} MINIDUMP_MEMORY_DESCRIPTOR64;

typedef struct {
    uint64  NumberOfMemoryRanges;
    uint64  BaseRva;
} MINIDUMP_MEMORY64_LIST_HEADER;

typedef struct {
    uint16  ProcessorArchitecture;
    uint16  ProcessorLevel;
    uint16  ProcessorRevision;
    uint8   NumberOfProcessors;
    uint8   ProductType;
    uint32  MajorVersion;
    uint32  MinorVersion;
    uint32  BuildNumber;
    uint32  PlatformId;
    uint32  CSDVersionRva;
    uint16  SuiteMask;
    uint16  Reserved2;
    uint8   Cpu[24];
} MINIDUMP_SYSTEM_INFO;

typedef struct {
    uint16 wYear; uint16 wMonth; uint16 wDayOfWeek; uint16 wDay;
    uint16 wHour; uint16 wMinute; uint16 wSecond; uint16 wMilliseconds;
} SYSTEMTIME;

typedef struct {
    int32       Bias;
    char        StandardName[64];           /* WCHAR[32]; as bytes, which are read at once */
    SYSTEMTIME  StandardDate;
    int32       StandardBias;
    char        DaylightName[64];
    SYSTEMTIME  DaylightDate;
    int32       DaylightBias;
} TIME_ZONE_INFORMATION;

#define MINIDUMP_MISC1_PROCESS_ID               0x00000001
#define MINIDUMP_MISC1_PROCESS_TIMES            0x00000002
#define MINIDUMP_MISC1_PROCESSOR_POWER_INFO     0x00000004
#define MINIDUMP_MISC3_PROCESS_INTEGRITY        0x00000010
#define MINIDUMP_MISC3_PROCESS_EXECUTE_FLAGS    0x00000020
#define MINIDUMP_MISC3_TIMEZONE                 0x00000040
#define MINIDUMP_MISC3_PROTECTED_PROCESS        0x00000080
#define MINIDUMP_MISC4_BUILDSTRING              0x00000100
#define MINIDUMP_MISC5_PROCESS_COOKIE           0x00000200

/* MINIDUMP_MISC_INFO, _2, _3, _4 and _5 are prefixes of one another: SizeOfInfo says how far it goes. */
typedef struct {
    uint32  SizeOfInfo;
    uint32  Flags1;
    uint32  ProcessId;
    uint32  ProcessCreateTime;
    uint32  ProcessUserTime;
    uint32  ProcessKernelTime;
} MINIDUMP_MISC_INFO;

typedef struct {
    MINIDUMP_MISC_INFO Info1;
    uint32  ProcessorMaxMhz;
    uint32  ProcessorCurrentMhz;
    uint32  ProcessorMhzLimit;
    uint32  ProcessorMaxIdleState;
    uint32  ProcessorCurrentIdleState;
} MINIDUMP_MISC_INFO_2;

typedef struct {
    MINIDUMP_MISC_INFO_2 Info2;
    uint32  ProcessIntegrityLevel;
    uint32  ProcessExecuteFlags;
    uint32  ProtectedProcess;
    uint32  TimeZoneId;
    TIME_ZONE_INFORMATION TimeZone;
} MINIDUMP_MISC_INFO_3;

typedef struct {
    MINIDUMP_MISC_INFO_3 Info3;
    char    BuildString[520];               /* WCHAR[260] */
    char    DbgBldStr[80];                  /* WCHAR[40] */
} MINIDUMP_MISC_INFO_4;

typedef struct {
    uint32  SizeOfInfo;
    uint32  ContextSize;
    uint64  EnabledFeatures;
    uint64  Features[64];
} XSTATE_CONFIG_FEATURE_MSC_INFO;

typedef struct {
    MINIDUMP_MISC_INFO_4 Info4;
    XSTATE_CONFIG_FEATURE_MSC_INFO XStateData;
    uint32  ProcessCookie;
} MINIDUMP_MISC_INFO_5;

typedef struct {
    uint32  ThreadId;
    uint32  SuspendCount;
    uint32  PriorityClass;
    uint32  Priority;
    uint64  Teb;
    MINIDUMP_MEMORY_DESCRIPTOR Stack;
    MINIDUMP_LOCATION_DESCRIPTOR ThreadContext;
} MINIDUMP_THREAD;

typedef struct {
    MINIDUMP_THREAD Thread;
    MINIDUMP_MEMORY_DESCRIPTOR BackingStore;
} MINIDUMP_THREAD_EX;

/* Not aligned: the 64-bit RVA directly follows the thread id. */
typedef struct {
    uint32  ThreadId;
    uint64  RvaOfThreadName;
} MINIDUMP_THREAD_NAME;

typedef struct {
    uint32  SizeOfHeader;
    uint32  SizeOfEntry;
    uint32  NumberOfEntries;
} MINIDUMP_THREAD_INFO_LIST;

typedef struct {
    uint32  ThreadId;
    uint32  DumpFlags;
    uint32  DumpError;
    uint32  ExitStatus;
    uint64  CreateTime;
    uint64  ExitTime;
    uint64  KernelTime;
    uint64  UserTime;
    uint64  StartAddress;
    uint64  Affinity;
} MINIDUMP_THREAD_INFO;

typedef struct {
    uint32  dwSignature;
    uint32  dwStrucVersion;
    uint32  dwFileVersionMS;
    uint32  dwFileVersionLS;
    uint32  dwProductVersionMS;
    uint32  dwProductVersionLS;
    uint32  dwFileFlagsMask;
    uint32  dwFileFlags;
    uint32  dwFileOS;
    uint32  dwFileType;
    uint32  dwFileSubtype;
    uint32  dwFileDateMS;
    uint32  dwFileDateLS;
} VS_FIXEDFILEINFO;

typedef struct {
    uint64  BaseOfImage;
    uint32  SizeOfImage;
    uint32  CheckSum;
    uint32  TimeDateStamp;
    uint32  ModuleNameRva;
    VS_FIXEDFILEINFO VersionInfo;
    MINIDUMP_LOCATION_DESCRIPTOR CvRecord;
    MINIDUMP_LOCATION_DESCRIPTOR MiscRecord;
    uint64  Reserved0;
    uint64  Reserved1;
} MINIDUMP_MODULE;

/* CodeView records: "RSDS" (PDB 7.0), "NB10" (PDB 2.0), "LEpB" as bytes "BpEL" (Breakpad: an ELF build id follows). */
typedef struct {
    char    CvSignature[4];
    uint8   Signature[16];
    uint32  Age;
} CV_INFO_PDB70;

typedef struct {
    char    CvSignature[4];
    uint32  Offset;
    uint32  Signature;
    uint32  Age;
} CV_INFO_PDB20;

typedef struct {
    uint32  SizeOfHeader;
    uint32  SizeOfEntry;
    uint32  NumberOfEntries;
} MINIDUMP_UNLOADED_MODULE_LIST;

typedef struct {
    uint64  BaseOfImage;
    uint32  SizeOfImage;
    uint32  CheckSum;
    uint32  TimeDateStamp;
    uint32  ModuleNameRva;
} MINIDUMP_UNLOADED_MODULE;

typedef struct {
    uint32  SizeOfHeader;
    uint32  SizeOfEntry;
    uint64  NumberOfEntries;
} MINIDUMP_MEMORY_INFO_LIST;

typedef struct {
    uint64  BaseAddress;
    uint64  AllocationBase;
    uint32  AllocationProtect;
    uint32  __alignment1;
    uint64  RegionSize;
    uint32  State;
    uint32  Protect;
    uint32  Type;
    uint32  __alignment2;
} MINIDUMP_MEMORY_INFO;

#define MEM_COMMIT      0x00001000
#define MEM_RESERVE     0x00002000
#define MEM_FREE        0x00010000
#define MEM_PRIVATE     0x00020000
#define MEM_MAPPED      0x00040000
#define MEM_IMAGE       0x01000000

#define PAGE_READWRITE          0x04
#define PAGE_WRITECOPY          0x08
#define PAGE_EXECUTE_READWRITE  0x40
#define PAGE_EXECUTE_WRITECOPY  0x80

#define VS_FFI_SIGNATURE    0xFEEF04BD

typedef struct {
    uint32  ExceptionCode;
    uint32  ExceptionFlags;
    uint64  ExceptionRecord;
    uint64  ExceptionAddress;
    uint32  NumberParameters;
    uint32  __unusedAlignment;
    uint64  ExceptionInformation[15];
} MINIDUMP_EXCEPTION;

typedef struct {
    uint32  ThreadId;
    uint32  __alignment;
    MINIDUMP_EXCEPTION ExceptionRecord;
    MINIDUMP_LOCATION_DESCRIPTOR ThreadContext;
} MINIDUMP_EXCEPTION_STREAM;

typedef struct {
    uint32  SizeOfHeader;
    uint32  SizeOfDescriptor;
    uint32  NumberOfDescriptors;
    uint32  Reserved;
} MINIDUMP_HANDLE_DATA_STREAM;

/* MINIDUMP_HANDLE_DESCRIPTOR_2 adds two words; SizeOfDescriptor says which it is. */
typedef struct {
    uint64  Handle;
    uint32  TypeNameRva;
    uint32  ObjectNameRva;
    uint32  Attributes;
    uint32  GrantedAccess;
    uint32  HandleCount;
    uint32  PointerCount;
} MINIDUMP_HANDLE_DESCRIPTOR;
"""


c_minidump = structures(minidump_def, breakpad_def, context_def)

"""Layouts of the Windows x64 kernel's structures, one table for all versions.

A line without indentation opens a structure: its name, then its size in bytes. An indented line is a field: its name,
type and offset in bytes. A bit field has `.bit` behind its offset. A single size or offset holds for every version.
Otherwise there is one for each version in the order of `VERSIONS`, or `-` if the version does not have the structure or
field. `@` stands for the offset in `dumpscan.model.c_process`, which describes structures that are also read in
minidumps.

The types are u8 u16 u32 u64, i8 i16 i32 i64, wchar (16 bits), void, and the names of structures and enumerations. `*`
makes a pointer of a type, `[n]` an array, `:n` a bit field of n bits in an integer of this type. The table has the
fields that are read or written here and those that volatility3's Windows plugins read. It has structures without fields
where volatility3 asks for their existence and size.

Sources, by column:
    7sp1    symbols of ntkrnlmp.pdb 339E74133576439CBCDF7E0229DA3773-1 (6.1.7601)
    8.1     the ntdiff project's listing of the RTM kernel's symbols, x64 (6.3.9600)
    1607    symbols of ntkrnlmp.pdb 517E128F7B7C4EA79491DE6B9B9CE190-1 (10.0.14393)
    1809    symbols of ntkrnlmp.pdb 8B11040A5928757B11390AC78F6B6925-1 (10.0.17763)
    2004    symbols of ntkrnlmp.pdb 1B4A6F5E0766C552C90710C8ACC0295C-1 (10.0.19041; 20H2 to 22H2 are the same kernel)
    21h2    symbols of ntkrnlmp.pdb 32C1A669D5FFEFD41091F636CFDB6E99-1 (10.0.22000)
    22h2    the Vergilius project's listings (10.0.22621; 23H2 is the same kernel) of `_EPROCESS`, `_KPROCESS` and
            `_RTL_USER_PROCESS_PARAMETERS`; for VADs, pool and object headers and sessions its listings of 24H2, where
            they agree with 21h2. The rest of this column is that of 21h2 and not confirmed: the sizes of
            `_KUSER_SHARED_DATA`, `_PEB`, `_KTHREAD`, `_ETHREAD`, `_LDR_DATA_TABLE_ENTRY` and of the structures
            without fields.
"""

from __future__ import annotations

VERSIONS = ("7sp1", "8.1", "1607", "1809", "2004", "21h2", "22h2")
"""Columns of `LAYOUTS`. Windows 7 SP1, 8.1; Windows 10 1607, 1809, 2004 and later; Windows 11 21H2, 22H2 and later."""

LAYOUTS = """
#                                                                 7sp1   8.1    1607   1809   2004   21h2   22h2
_LIST_ENTRY                                                       0x10
  Flink                           _LIST_ENTRY*                    0x0
  Blink                           _LIST_ENTRY*                    0x8

_LARGE_INTEGER                                                    0x8
  LowPart                         u32                             0x0
  HighPart                        i32                             0x4
  QuadPart                        i64                             0x0

_UNICODE_STRING                                                   0x10
  Length                          u16                             @
  MaximumLength                   u16                             @
  Buffer                          wchar*                          @

_EX_FAST_REF                                                      0x8
  Object                          void*                           0x0
  RefCnt                          u64:4                           0x0.0
  Value                           u64                             0x0

_CLIENT_ID                                                        0x10
  UniqueProcess                   void*                           0x0
  UniqueThread                    void*                           0x8

_DISPATCHER_HEADER                                                0x18
  Type                            u8                              0x0
  Size                            u8                              0x2
  SignalState                     i32                             0x4
  WaitListHead                    _LIST_ENTRY                     0x8

_KSYSTEM_TIME                                                     0xc
  LowPart                         u32                             0x0
  High1Time                       i32                             0x4
  High2Time                       i32                             0x8

_KUSER_SHARED_DATA                                                0x5f0  0x5f0  0x708  0x710  0x720  0x730  0x730
  TickCountMultiplier             u32                             0x4
  InterruptTime                   _KSYSTEM_TIME                   0x8
  SystemTime                      _KSYSTEM_TIME                   0x14
  TimeZoneBias                    _KSYSTEM_TIME                   0x20
  ImageNumberLow                  u16                             0x2c
  ImageNumberHigh                 u16                             0x2e
  NtSystemRoot                    wchar[260]                      0x30
  NtBuildNumber                   u32                             -      -      0x260  0x260  0x260  0x260  0x260
  NtProductType                   _NT_PRODUCT_TYPE                0x264
  ProductTypeIsValid              u8                              0x268
  NativeProcessorArchitecture     u16                             -      0x26a  0x26a  0x26a  0x26a  0x26a  0x26a
  NtMajorVersion                  u32                             0x26c
  NtMinorVersion                  u32                             0x270
  NumberOfPhysicalPages           u32                             0x2e8
  ActiveProcessorCount            u32                             0x3c0

_DBGKD_GET_VERSION64                                              0x28
  MajorVersion                    u16                             0x0
  MinorVersion                    u16                             0x2
  ProtocolVersion                 u8                              0x4
  KdSecondaryVersion              u8                              0x5
  Flags                           u16                             0x6
  MachineType                     u16                             0x8
  MaxPacketType                   u8                              0xa
  MaxStateChange                  u8                              0xb
  MaxManipulate                   u8                              0xc
  Simulation                      u8                              0xd
  Unused                          u16[1]                          0xe
  KernBase                        u64                             0x10
  PsLoadedModuleList              u64                             0x18
  DebuggerDataList                u64                             0x20

_KPROCESS                                                         0x160  0x2c8  0x2d8  0x2d8  0x438  0x438  0x438
  Header                          _DISPATCHER_HEADER              0x0
  DirectoryTableBase              u64                             0x28
  ThreadListHead                  _LIST_ENTRY                     0x30

_EPROCESS                                                         0x4f8  0x6b8  0x7c8  0x850  0xa40  0xb80  0xb80
  Pcb                             _KPROCESS                       0x0
  ProcessLock                     _EX_PUSH_LOCK                   0x160  0x2c8  0x2d8  0x2d8  0x438  0x438  0x438
  CreateTime                      _LARGE_INTEGER                  0x168  0x2d0  0x308  0x308  0x468  0x468  0x468
  ExitTime                        _LARGE_INTEGER                  0x170  0x640  0x690  0x690  0x840  0x840  0x840
  UniqueProcessId                 void*                           0x180  0x2e0  0x2e8  0x2e0  0x440  0x440  0x440
  ActiveProcessLinks              _LIST_ENTRY                     0x188  0x2e8  0x2f0  0x2e8  0x448  0x448  0x448
  Flags2                          u32                             0x43c  0x2f8  0x300  0x300  0x460  0x460  0x460
  Flags                           u32                             0x440  0x2fc  0x304  0x304  0x464  0x464  0x464
  SessionProcessLinks             _LIST_ENTRY                     0x1e0  0x330  0x340  0x340  0x4a0  0x4a0  0x4a0
  Token                           _EX_FAST_REF                    0x208  0x348  0x358  0x358  0x4b8  0x4b8  0x4b8
  SectionBaseAddress              void*                           0x270  0x3b0  0x3c0  0x3c0  0x520  0x520  0x520
  InheritedFromUniqueProcessId    void*                           0x290  0x3d0  0x3e0  0x3e0  0x540  0x540  0x540
  Peb                             _PEB*                           0x338  0x3e8  0x3f8  0x3f8  0x550  0x550  0x550
  Session                         void*                           0x2d8  0x3f0  -      -      -      -      -
  Session                         _MM_SESSION_SPACE*              -      -      0x400  0x400  0x558  0x558  0x558
  ObjectTable                     _HANDLE_TABLE*                  0x200  0x408  0x418  0x418  0x570  0x570  0x570
  Wow64Process                    void*                           0x320  0x418  -      -      -      -      -
  WoW64Process                    _EWOW64PROCESS*                 -      -      0x428  0x428  0x580  0x580  0x580
  ImageFilePointer                _FILE_OBJECT*                   -      -      0x448  0x448  0x5a0  0x5a0  0x5a0
  ImageFileName                   u8[15]                          0x2e0  0x438  0x450  0x450  0x5a8  0x5a8  0x5a8
  PriorityClass                   u8                              0x2ef  0x447  0x45f  0x45f  0x5b7  0x5b7  0x5b7
  SeAuditProcessCreationInfo      _SE_AUDIT_PROCESS_CREATION_INFO 0x390  0x450  0x468  0x468  0x5c0  0x5c0  0x5c0
  ThreadListHead                  _LIST_ENTRY                     0x308  0x470  0x488  0x488  0x5e0  0x5e0  0x5e0
  ActiveThreads                   u32                             0x328  0x480  0x498  0x498  0x5f0  0x5f0  0x5f0
  ExitStatus                      i32                             0x444  0x5d4  0x62c  0x624  0x7d4  0x7d4  0x7d4
  VadRoot                         _MM_AVL_TABLE                   0x448  -      -      -      -      -      -
  VadRoot                         _RTL_AVL_TREE                   -      0x5d8  0x620  0x628  0x7d8  0x7d8  0x7d8

_EWOW64PROCESS                                                    -      -      0x10   0x10   0x10   0x10   0x10
  Peb                             void*                           -      -      0x0    0x0    0x0    0x0    0x0
  Machine                         u16                             -      -      0x8    0x8    0x8    -      -

_SE_AUDIT_PROCESS_CREATION_INFO                                   0x8
  ImageFileName                   _OBJECT_NAME_INFORMATION*       0x0

_OBJECT_NAME_INFORMATION                                          0x10
  Name                            _UNICODE_STRING                 0x0

_KTHREAD                                                          0x368  0x5d0  0x5e0  0x5f0  0x430  0x480  0x480
  Header                          _DISPATCHER_HEADER              0x0
  Process                         _KPROCESS*                      0x210  0x220  0x220  0x220  0x220  0x220  0x220
  State                           u8                              0x164  0x184  0x184  0x184  0x184  0x184  0x184
  WaitReason                      u8                              0x26b  0x283  0x283  0x283  0x283  0x283  0x283
  Teb                             void*                           0xb8   0xf0   0xf0   0xf0   0xf0   0xf0   0xf0

_ETHREAD                                                          0x4a8  0x778  0x7e0  0x810  0x898  0x8f0  0x8f0
  Tcb                             _KTHREAD                        0x0
  CreateTime                      _LARGE_INTEGER                  0x368  0x5d0  0x5e0  0x5f0  0x430  0x480  0x480
  ExitTime                        _LARGE_INTEGER                  0x370  0x5d8  0x5e8  0x5f8  0x438  0x488  0x488
  StartAddress                    void*                           0x390  0x5f8  0x608  0x610  0x450  0x4a0  0x4a0
  Cid                             _CLIENT_ID                      0x3b8  0x620  0x630  0x638  0x478  0x4c8  0x4c8
  Win32StartAddress               void*                           0x418  0x678  0x688  0x690  0x4d0  0x520  0x520
  ThreadListEntry                 _LIST_ENTRY                     0x428  0x688  0x698  0x6a8  0x4e8  0x538  0x538
  CrossThreadFlags                u32                             0x450  0x6b4  0x6c0  0x6d0  0x510  0x560  0x560

_PEB                                                              0x380  0x388  0x7a0  0x7c8  0x7c8  0x7d0  0x7d0
  BeingDebugged                   u8                              @
  ImageBaseAddress                void*                           @
  Ldr                             _PEB_LDR_DATA*                  @
  ProcessParameters               _RTL_USER_PROCESS_PARAMETERS*   @
  SessionId                       u32                             @

_RTL_USER_PROCESS_PARAMETERS                                      0x400  0x410  0x410  0x420  0x440  0x440  0x448
  MaximumLength                   u32                             @
  Length                          u32                             @
  Flags                           u32                             @
  DllPath                         _UNICODE_STRING                 @
  ImagePathName                   _UNICODE_STRING                 @
  CommandLine                     _UNICODE_STRING                 @
  Environment                     void*                           @
  EnvironmentSize                 u64                             @
  EnvironmentVersion              u64                             @

_PEB_LDR_DATA                                                     0x58
  Length                          u32                             0x0
  Initialized                     u8                              0x4
  SsHandle                        void*                           0x8
  InLoadOrderModuleList           _LIST_ENTRY                     0x10
  InMemoryOrderModuleList         _LIST_ENTRY                     0x20
  InInitializationOrderModuleList _LIST_ENTRY                     0x30

_LDR_DATA_TABLE_ENTRY                                             0xe0   0x118  0x120  0x120  0x120  0x138  0x138
  InLoadOrderLinks                _LIST_ENTRY                     0x0
  InMemoryOrderLinks              _LIST_ENTRY                     0x10
  InInitializationOrderLinks      _LIST_ENTRY                     0x20
  DllBase                         void*                           0x30
  EntryPoint                      void*                           0x38
  SizeOfImage                     u32                             0x40
  FullDllName                     _UNICODE_STRING                 0x48
  BaseDllName                     _UNICODE_STRING                 0x58
  TimeDateStamp                   u32                             0x80
  LoadTime                        _LARGE_INTEGER                  0xd8   0x100  0x100  0x100  0x100  0x100  0x100

_MM_SESSION_SPACE                                                 0x1f80 0x2000 0x4000 0x5000 0x5000 0x3c0  0x3c0
  SessionId                       u32                             0x8
  ProcessList                     _LIST_ENTRY                     0x10

_HANDLE_TABLE                                                     0x68   0x80   0x80   0x80   0x80   0x80   0x80
  TableCode                       u64                             0x0    0x8    0x8    0x8    0x8    0x8    0x8
  HandleCount                     u32                             0x58   -      -      -      -      -      -

_POOL_HEADER                                                      0x10
  PreviousSize                    u32:8                           0x0.0  -      -      -      -      -      -
  PreviousSize                    u16:8                           -      0x0.0  0x0.0  0x0.0  0x0.0  0x0.0  0x0.0
  PoolIndex                       u32:8                           0x0.8  -      -      -      -      -      -
  PoolIndex                       u16:8                           -      0x0.8  0x0.8  0x0.8  0x0.8  0x0.8  0x0.8
  BlockSize                       u32:8                           0x0.16 -      -      -      -      -      -
  BlockSize                       u16:8                           -      0x2.0  0x2.0  0x2.0  0x2.0  0x2.0  0x2.0
  PoolType                        u32:8                           0x0.24 -      -      -      -      -      -
  PoolType                        u16:8                           -      0x2.8  0x2.8  0x2.8  0x2.8  0x2.8  0x2.8
  PoolTag                         u32                             0x4

_OBJECT_HEADER                                                    0x38
  PointerCount                    i64                             0x0
  HandleCount                     i64                             0x8
  TypeIndex                       u8                              0x18
  InfoMask                        u8                              0x1a
  Flags                           u8                              0x1b
  SecurityDescriptor              void*                           0x28
  Body                            u64                             0x30

_OBJECT_HEADER_NAME_INFO                                          0x20
  Directory                       void*                           0x0
  Name                            _UNICODE_STRING                 0x8

_OBJECT_TYPE                                                      0xd0   0xd8   0xd8   0xd8   0xd8   0xd8   0xd8
  TypeList                        _LIST_ENTRY                     0x0
  Name                            _UNICODE_STRING                 0x10
  Index                           u8                              0x28

_RTL_BALANCED_NODE                                                0x18
  Children                        _RTL_BALANCED_NODE*[2]          0x0
  Left                            _RTL_BALANCED_NODE*             0x0
  Right                           _RTL_BALANCED_NODE*             0x8
  Balance                         u8:2                            0x10.0
  ParentValue                     u64                             0x10

_RTL_AVL_TREE                                                     0x8
  Root                            _RTL_BALANCED_NODE*             0x0

_MMADDRESS_NODE                                                   0x28   -      -      -      -      -      -
  u1                              _MMADDRESS_NODE_u1              0x0    -      -      -      -      -      -
  LeftChild                       _MMADDRESS_NODE*                0x8    -      -      -      -      -      -
  RightChild                      _MMADDRESS_NODE*                0x10   -      -      -      -      -      -
  StartingVpn                     u64                             0x18   -      -      -      -      -      -
  EndingVpn                       u64                             0x20   -      -      -      -      -      -

_MMADDRESS_NODE_u1                                                0x8    -      -      -      -      -      -
  Balance                         i64:2                           0x0.0  -      -      -      -      -      -
  Parent                          _MMADDRESS_NODE*                0x0    -      -      -      -      -      -

_MM_AVL_TABLE                                                     0x40   -      -      -      -      -      -
  BalancedRoot                    _MMADDRESS_NODE                 0x0    -      -      -      -      -      -
  DepthOfTree                     u64:5                           0x28.0 -      -      -      -      -      -
  NumberGenericTableElements      u64:56                          0x28.8 -      -      -      -      -      -

_MMVAD_FLAGS                                                      0x8    0x4    0x4    0x4    0x4    0x4    0x4
  CommitCharge                    u64:51                          0x0.0  -      -      -      -      -      -
  MemCommit                       u64:1                           0x0.55 -      -      -      -      -      -
  PrivateMemory                   u64:1                           0x0.63 -      -      -      -      -      -
  PrivateMemory                   u32:1                           -      0x0.15 0x0.15 0x0.14 0x0.20 0x0.21 0x0.21
  Protection                      u64:5                           0x0.56 -      -      -      -      -      -
  Protection                      u32:5                           -      0x0.3  0x0.3  0x0.3  0x0.7  0x0.7  0x0.7
  VadType                         u64:3                           0x0.52 -      -      -      -      -      -
  VadType                         u32:3                           -      0x0.0  0x0.0  0x0.0  0x0.4  0x0.4  0x0.4

_MMVAD_FLAGS1                                                     -      0x4    0x4    0x4    0x4    0x4    0x4
  CommitCharge                    u32:31                          -      0x0.0  0x0.0  0x0.0  0x0.0  0x0.0  0x0.0
  MemCommit                       u32:1                           -      0x0.31 0x0.31 0x0.31 0x0.31 0x0.31 0x0.31

_MMVAD_SHORT                                                      0x40
  u1                              _MMVAD_SHORT_u1                 0x0    0x34   0x34   0x34   0x34   0x34   0x34
  VadNode                         _RTL_BALANCED_NODE              -      0x0    0x0    0x0    0x0    0x0    0x0
  LeftChild                       _MMVAD*                         0x8    -      -      -      -      -      -
  RightChild                      _MMVAD*                         0x10   -      -      -      -      -      -
  StartingVpn                     u64                             0x18   -      -      -      -      -      -
  StartingVpn                     u32                             -      0x18   0x18   0x18   0x18   0x18   0x18
  EndingVpn                       u64                             0x20   -      -      -      -      -      -
  EndingVpn                       u32                             -      0x1c   0x1c   0x1c   0x1c   0x1c   0x1c
  StartingVpnHigh                 u8                              -      0x20   0x20   0x20   0x20   0x20   0x20
  EndingVpnHigh                   u8                              -      0x21   0x21   0x21   0x21   0x21   0x21
  u                               _MMVAD_SHORT_u                  0x28   0x30   0x30   0x30   0x30   0x30   0x30

_MMVAD_SHORT_u1                                                   0x8    0x4    0x4    0x4    0x4    0x4    0x4
  Balance                         i64:2                           0x0.0  -      -      -      -      -      -
  Parent                          _MMVAD*                         0x0    -      -      -      -      -      -
  LongFlags1                      u32                             -      0x0    0x0    0x0    0x0    0x0    0x0
  VadFlags1                       _MMVAD_FLAGS1                   -      0x0    0x0    0x0    0x0    0x0    0x0

_MMVAD_SHORT_u                                                    0x8    0x4    0x4    0x4    0x4    0x4    0x4
  LongFlags                       u64                             0x0    -      -      -      -      -      -
  LongFlags                       u32                             -      0x0    0x0    0x0    0x0    0x0    0x0
  VadFlags                        _MMVAD_FLAGS                    0x0

_MMVAD                                                            0x78   0x80   0x88   0x88   0x88   0x88   0x88
  Core                            _MMVAD_SHORT                    -      0x0    0x0    0x0    0x0    0x0    0x0
  u1                              _MMVAD_u1                       0x0    -      -      -      -      -      -
  LeftChild                       _MMVAD*                         0x8    -      -      -      -      -      -
  RightChild                      _MMVAD*                         0x10   -      -      -      -      -      -
  StartingVpn                     u64                             0x18   -      -      -      -      -      -
  EndingVpn                       u64                             0x20   -      -      -      -      -      -
  u                               _MMVAD_u                        0x28   -      -      -      -      -      -
  Subsection                      _SUBSECTION*                    0x48
  FirstPrototypePte               void*                           0x50

_MMVAD_u1                                                         0x8    -      -      -      -      -      -
  Balance                         i64:2                           0x0.0  -      -      -      -      -      -
  Parent                          _MMVAD*                         0x0    -      -      -      -      -      -

_MMVAD_u                                                          0x8    -      -      -      -      -      -
  LongFlags                       u64                             0x0    -      -      -      -      -      -
  VadFlags                        _MMVAD_FLAGS                    0x0    -      -      -      -      -      -

_SUBSECTION                                                       0x38
  ControlArea                     _CONTROL_AREA*                  0x0

_CONTROL_AREA                                                     0x80
  Segment                         void*                           0x0
  FilePointer                     _EX_FAST_REF                    0x40

_FILE_OBJECT                                                      0xd8
  Type                            i16                             0x0
  Size                            i16                             0x2
  DeviceObject                    _DEVICE_OBJECT*                 0x8
  ReadAccess                      u8                              0x4a
  WriteAccess                     u8                              0x4b
  DeleteAccess                    u8                              0x4c
  SharedRead                      u8                              0x4d
  SharedWrite                     u8                              0x4e
  SharedDelete                    u8                              0x4f
  FileName                        _UNICODE_STRING                 0x58

_IMAGE_DOS_HEADER                                                 0x40
  e_magic                         u16                             0x0
  e_lfanew                        i32                             0x3c

_DRIVER_OBJECT                                                    0x150
  DeviceObject                    _DEVICE_OBJECT*                 0x8

_POOL_TRACKER_BIG_PAGES                                           0x18   0x18   0x18   0x18   0x18   0x20   0x20
  Va                              void*                           0x0    -      -      -      -      -      -
  Va                              u64                             -      0x0    0x0    0x0    0x0    0x0    0x0
  Key                             u32                             0x8
  PoolType                        u32                             0xc    0xc    -      -      -      -      -
  PoolType                        u32:12                          -      -      0xc.8  0xc.8  0xc.8  0xc.8  0xc.8
  NumberOfBytes                   u64                             0x10

_EX_PUSH_LOCK                                                     0x8
_OBJECT_HEADER_CREATOR_INFO                                       0x20
_OBJECT_HEADER_HANDLE_INFO                                        0x10
_OBJECT_HEADER_QUOTA_INFO                                         0x20
_OBJECT_HEADER_PROCESS_INFO                                       0x10
_OBJECT_HEADER_AUDIT_INFO                                         -      0x10   0x10   0x10   0x10   0x10   0x10
_OBJECT_HEADER_EXTENDED_INFO                                      -      -      0x10   0x10   0x10   0x10   0x10
_OBJECT_HEADER_PADDING_INFO                                       -      0x4    0x4    0x4    0x4    0x4    0x4
_DEVICE_OBJECT                                                    0x150
_OBJECT_SYMBOLIC_LINK                                             0x20   0x20   0x28   0x28   0x28   0x28   0x28
_KMUTANT                                                          0x38
_KTIMER                                                           0x40
_ERESOURCE                                                        0x68
_TOKEN                                                            0x318  0x468  0x490  0x498  0x498  0x498  0x498
_CM_KEY_BODY                                                      0x58   0x58   0x58   0x60   0x68   0x70   0x70
_CMHIVE                                                           0xbe8  0x1358 0x17a8 0x12f8 0x12e8 0x12d8 0x12d8
_CM_KEY_NODE                                                      0x50
_CM_KEY_VALUE                                                     0x18
_HMAP_ENTRY                                                       0x20   0x18   0x28   0x18   0x18   0x18   0x18
_SHARED_CACHE_MAP                                                 0x1f8  0x208  0x210  0x220  0x228  0x258  0x258
_VACB                                                             0x30   0x28   0x28   0x28   0x28   0x28   0x28
"""

"""Layouts of a Windows user process: thread and process environment blocks and process parameters.

Only the fields that dumpscan reads or writes are named; the rest is padding. Sources: Microsoft's public symbols of
`ntdll.dll`; docs/memory-layouts.md, "Windows process blocks". A 32-bit process on 64-bit Windows (WoW64) has both sets:
its 64-bit TEB's `NtTib.ExceptionList` points to the 32-bit TEB, which lies 0x2000 bytes above it.
"""

from __future__ import annotations

from dumpscan.model.structures import structures

RTL_USER_PROC_PARAMS_NORMALIZED = 1
"""`RTL_USER_PROCESS_PARAMETERS.Flags`: its pointers are addresses; without it they count from the block's beginning."""

process_def = """
/* ---- x64 (ARM64 has the same layout) ---- */
typedef struct {
    uint16  Length;                 /* bytes, without a terminator */
    uint16  MaximumLength;          /* bytes */
    uint32  _pad;
    uint64  Buffer;
} UNICODE_STRING64;

typedef struct {
    uint64  ExceptionList;          /* 0x00, WoW64: address of the 32-bit TEB */
    uint64  StackBase;              /* 0x08 */
    uint64  StackLimit;             /* 0x10 */
    uint64  SubSystemTib;
    uint64  FiberData;
    uint64  ArbitraryUserPointer;
    uint64  Self;                   /* 0x30 */
    uint64  EnvironmentPointer;
    uint64  UniqueProcess;          /* 0x40 */
    uint64  UniqueThread;           /* 0x48 */
    uint64  ActiveRpcHandle;
    uint64  ThreadLocalStoragePointer;
    uint64  ProcessEnvironmentBlock;/* 0x60 */
} TEB64;

typedef struct {
    uint8   InheritedAddressSpace;
    uint8   ReadImageFileExecOptions;
    uint8   BeingDebugged;
    uint8   BitField;
    uint32  _pad0;
    uint64  Mutant;
    uint64  ImageBaseAddress;       /* 0x10 */
    uint64  Ldr;                    /* 0x18 */
    uint64  ProcessParameters;      /* 0x20 */
    uint8   _pad1[0x298];
    uint32  SessionId;              /* 0x2c0 */
    uint32  _pad2;
} PEB64;

typedef struct {
    uint32  MaximumLength;
    uint32  Length;
    uint32  Flags;
    uint32  DebugFlags;
    uint64  ConsoleHandle;
    uint32  ConsoleFlags;
    uint32  _pad0;
    uint64  StandardInput;
    uint64  StandardOutput;
    uint64  StandardError;
    UNICODE_STRING64 CurrentDirectory;  /* 0x38 */
    uint64  CurrentDirectoryHandle;
    UNICODE_STRING64 DllPath;           /* 0x50 */
    UNICODE_STRING64 ImagePathName;     /* 0x60 */
    UNICODE_STRING64 CommandLine;       /* 0x70 */
    uint64  Environment;                /* 0x80 */
    uint8   _pad1[0x368];
    uint64  EnvironmentSize;            /* 0x3f0, bytes */
    uint64  EnvironmentVersion;
} RTL_USER_PROCESS_PARAMETERS64;

/* ---- x86 ---- */
typedef struct {
    uint16  Length;
    uint16  MaximumLength;
    uint32  Buffer;
} UNICODE_STRING32;

typedef struct {
    uint32  ExceptionList;
    uint32  StackBase;              /* 0x04 */
    uint32  StackLimit;             /* 0x08 */
    uint32  SubSystemTib;
    uint32  FiberData;
    uint32  ArbitraryUserPointer;
    uint32  Self;                   /* 0x18 */
    uint32  EnvironmentPointer;
    uint32  UniqueProcess;          /* 0x20 */
    uint32  UniqueThread;           /* 0x24 */
    uint32  ActiveRpcHandle;
    uint32  ThreadLocalStoragePointer;
    uint32  ProcessEnvironmentBlock;/* 0x30 */
    uint8   _pad0[0x8c];
    uint32  WOW32Reserved;          /* 0xc0, WoW64: the way to 64-bit code; else 0 */
} TEB32;

typedef struct {
    uint8   InheritedAddressSpace;
    uint8   ReadImageFileExecOptions;
    uint8   BeingDebugged;
    uint8   BitField;
    uint32  Mutant;
    uint32  ImageBaseAddress;       /* 0x08 */
    uint32  Ldr;                    /* 0x0c */
    uint32  ProcessParameters;      /* 0x10 */
    uint8   _pad0[0x1c0];
    uint32  SessionId;              /* 0x1d4 */
} PEB32;

typedef struct {
    uint32  MaximumLength;
    uint32  Length;
    uint32  Flags;
    uint32  DebugFlags;
    uint32  ConsoleHandle;
    uint32  ConsoleFlags;
    uint32  StandardInput;
    uint32  StandardOutput;
    uint32  StandardError;
    UNICODE_STRING32 CurrentDirectory;  /* 0x24 */
    uint32  CurrentDirectoryHandle;
    UNICODE_STRING32 DllPath;           /* 0x30 */
    UNICODE_STRING32 ImagePathName;     /* 0x38 */
    UNICODE_STRING32 CommandLine;       /* 0x40 */
    uint32  Environment;                /* 0x48 */
    uint8   _pad0[0x244];
    uint32  EnvironmentSize;            /* 0x290, bytes */
    uint32  EnvironmentVersion;
} RTL_USER_PROCESS_PARAMETERS32;
"""

c_process = structures(process_def)

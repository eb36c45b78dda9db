"""Layouts of the CPU contexts of a minidump's threads, up to the general registers.

Sources: `winnt.h`; Breakpad's `minidump_cpu_arm.h` and `minidump_cpu_arm64.h`. A bit of `ContextFlags` names the
processor and so the layout: a 64-bit dump of a 32-bit process may have 64-bit contexts.
"""

from __future__ import annotations

context_def = """
#define CONTEXT_i386            0x00010000
#define CONTEXT_AMD64_FLAG      0x00100000
#define CONTEXT_ARM_FLAG        0x00200000
#define CONTEXT_ARM64_FLAG      0x00400000
#define CONTEXT_BREAKPAD_ARM    0x40000000
#define CONTEXT_BREAKPAD_ARM64  0x80000000

typedef struct {
    uint32  ContextFlags;
    uint32  Dr[6];
    uint8   FloatSave[112];
    uint32  SegGs; uint32 SegFs; uint32 SegEs; uint32 SegDs;
    uint32  Edi; uint32 Esi; uint32 Ebx; uint32 Edx; uint32 Ecx; uint32 Eax; uint32 Ebp;
    uint32  Eip; uint32 SegCs; uint32 EFlags; uint32 Esp; uint32 SegSs;
    uint8   ExtendedRegisters[512];
} CONTEXT_X86;

typedef struct {
    uint64  PHome[6];
    uint32  ContextFlags;
    uint32  MxCsr;
    uint16  SegCs; uint16 SegDs; uint16 SegEs; uint16 SegFs; uint16 SegGs; uint16 SegSs;
    uint32  EFlags;
    uint64  Dr[6];
    uint64  Rax; uint64 Rcx; uint64 Rdx; uint64 Rbx; uint64 Rsp; uint64 Rbp; uint64 Rsi; uint64 Rdi;
    uint64  R8; uint64 R9; uint64 R10; uint64 R11; uint64 R12; uint64 R13; uint64 R14; uint64 R15;
    uint64  Rip;
    uint8   FltSave[512];
    uint8   VectorRegister[416];
    uint64  VectorControl;
    uint64  DebugControl;
    uint64  LastBranchToRip; uint64 LastBranchFromRip; uint64 LastExceptionToRip; uint64 LastExceptionFromRip;
} CONTEXT_AMD64;

typedef struct {
    uint32  ContextFlags;
    uint32  Cpsr;
    uint64  X[29];
    uint64  Fp; uint64 Lr; uint64 Sp; uint64 Pc;
    uint8   V[512];
    uint32  Fpcr;
    uint32  Fpsr;
    uint32  Bcr[8];
    uint64  Bvr[8];
    uint32  Wcr[2];
    uint64  Wvr[2];
} CONTEXT_ARM64;

/* Windows' and Breakpad's agree up to here. */
typedef struct {
    uint32  ContextFlags;
    uint32  R[13];
    uint32  Sp; uint32 Lr; uint32 Pc;
    uint32  Cpsr;
} CONTEXT_ARM;

/* Breakpad's before it took Windows' layout: PROCESSOR_ARCHITECTURE 0x8003. */
typedef struct {
    uint64  ContextFlags;
    uint64  X[29];
    uint64  Fp; uint64 Lr; uint64 Sp; uint64 Pc;
    uint32  Cpsr;
    uint32  Fpsr;
    uint32  Fpcr;
    uint8   V[512];
} CONTEXT_ARM64_OLD;
"""

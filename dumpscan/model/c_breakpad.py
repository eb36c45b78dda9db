"""Layouts of the minidump streams of Google's crash reporters, loaded together with those of `c_minidump`.

Crashpad's from its `minidump/minidump_extensions.h`, Breakpad's from its `google_breakpad/common/minidump_format.h`,
both packed to 4 bytes. A list is a uint32 count and that many entries; a string is a uint32 length and UTF-8.
Breakpad's Linux streams (LinuxCmdLine, LinuxMaps ...) are copies of files in /proc and need no layout.
"""

from __future__ import annotations

breakpad_def = """
/* Crashpad; later versions of MINIDUMP_CRASHPAD_INFO go on with fields that are not read here */
typedef struct {
    uint32  Version;
    uint8   ReportId[16];
    uint8   ClientId[16];
    MINIDUMP_LOCATION_DESCRIPTOR SimpleAnnotations;
    MINIDUMP_LOCATION_DESCRIPTOR ModuleList;
} MINIDUMP_CRASHPAD_INFO;

typedef struct {
    uint32  Key;
    uint32  Value;
} MINIDUMP_SIMPLE_STRING_DICTIONARY_ENTRY;

/* an entry of the list at MINIDUMP_CRASHPAD_INFO.ModuleList */
typedef struct {
    uint32  MinidumpModuleListIndex;
    MINIDUMP_LOCATION_DESCRIPTOR Location;      /* MINIDUMP_MODULE_CRASHPAD_INFO */
} MINIDUMP_MODULE_CRASHPAD_INFO_LINK;

typedef struct {
    uint32  Version;
    MINIDUMP_LOCATION_DESCRIPTOR ListAnnotations;       /* MINIDUMP_RVA_LIST_ENTRYs */
    MINIDUMP_LOCATION_DESCRIPTOR SimpleAnnotations;     /* MINIDUMP_SIMPLE_STRING_DICTIONARY_ENTRYs */
    MINIDUMP_LOCATION_DESCRIPTOR AnnotationObjects;     /* MINIDUMP_ANNOTATIONs */
} MINIDUMP_MODULE_CRASHPAD_INFO;

typedef struct {
    uint32  Rva;                /* of a string */
} MINIDUMP_RVA_LIST_ENTRY;

typedef struct {
    uint32  Name;               /* RVA of a string */
    uint16  Type;               /* 1: a string */
    uint16  Reserved;
    uint32  Value;              /* RVA of a uint32 length and that many bytes */
} MINIDUMP_ANNOTATION;

/* Breakpad */
typedef struct {
    uint32  Validity;
    uint32  DumpThreadId;
    uint32  RequestingThreadId;
} MINIDUMP_BREAKPAD_INFO;
"""

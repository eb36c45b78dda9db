"""BTF, the type information that a Linux kernel carries in memory.

Source: Linux, `include/uapi/linux/btf.h` and `Documentation/bpf/btf.rst`; see `docs/memory-layouts.md`, "Linux kernel
images".
"""

from __future__ import annotations

from dumpscan.model.structures import structures

BTF_MAGIC = 0xEB9F
BTF_VERSION = 1

KIND_INT = 1
KIND_PTR = 2
KIND_ARRAY = 3
KIND_STRUCT = 4
KIND_UNION = 5
KIND_ENUM = 6
KIND_FWD = 7
KIND_TYPEDEF = 8
KIND_VOLATILE = 9
KIND_CONST = 10
KIND_RESTRICT = 11
KIND_FUNC = 12
KIND_FUNC_PROTO = 13
KIND_VAR = 14
KIND_DATASEC = 15
KIND_FLOAT = 16
KIND_DECL_TAG = 17
KIND_TYPE_TAG = 18
KIND_ENUM64 = 19

QUALIFIERS = frozenset({KIND_TYPEDEF, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT, KIND_TYPE_TAG})
"""Kinds that stand for another type, under a name or with a qualifier."""

WORDS_ALWAYS = {KIND_INT: 1, KIND_ARRAY: 3, KIND_VAR: 1, KIND_DECL_TAG: 1}
"""Words (of 4 bytes) that follow the three of every type, by kind."""
WORDS_PER_MEMBER = {
    KIND_STRUCT: 3,
    KIND_UNION: 3,
    KIND_ENUM: 2,
    KIND_FUNC_PROTO: 2,
    KIND_DATASEC: 3,
    KIND_ENUM64: 3,
}
"""Words that follow for each member, value or parameter of a type, by kind."""
LAST_KIND = KIND_ENUM64

_DEFINITIONS = """
struct btf_header {
    uint16   magic;
    uint8    version;
    uint8    flags;
    uint32   hdr_len;
    uint32   type_off;
    uint32   type_len;
    uint32   str_off;
    uint32   str_len;
};
"""

c_btf = structures(_DEFINITIONS)

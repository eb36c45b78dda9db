"""Layouts of LiME's and AVML's files: physical memory in ranges, each behind a header of its own.

Sources: LiME's `lime.h`; AVML's `src/image.rs`, which has the same header; `framing_format.txt` of snappy. See
`docs/memory-layouts.md`, "LiME and AVML".
"""

from __future__ import annotations

from dumpscan.model.structures import structures

LIME_MAGIC = 0x4C69_4D45
LIME_VERSION = 1
AVML_MAGIC = 0x4C4D_5641
AVML_VERSION = 2
"""Its version 1 is LiME's format."""
AVML_TRAILER_SIZE = 8
"""Bytes behind the frames of a range: their size."""

_DEFINITIONS = """
typedef struct {
    uint32  magic;
    uint32  version;
    uint64  s_addr;                 /* physical address of the first byte */
    uint64  e_addr;                 /* of the last byte */
    uint8   reserved[8];
} LIME_RANGE;                       /* the bytes follow, then the next range */
"""

c_lime = structures(_DEFINITIONS)

# A stream of snappy's framing format: chunks of a type (one byte), a size (24 bits), and so many bytes.
CHUNK_HEADER_SIZE = 4
CHUNK_CHECKSUM_SIZE = 4
"""Bytes before the data of a chunk of the first two types: a CRC-32C of what it unpacks to."""
CHUNK_PACKED, CHUNK_STORED = 0x00, 0x01
CHUNK_SKIPPED_FROM = 0x80
"""Chunks of this type and above have no data; those in between must not be skipped, and are not known."""
MAX_CHUNK = 1 << 16
"""Bytes that a chunk unpacks to."""

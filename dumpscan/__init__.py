"""dumpscan finds X.509 certificates and private keys in memory dumps, proves each key, and says where it lay."""

from dumpscan._version import __version__
from dumpscan.api import SearchResult, open_dump, search
from dumpscan.exceptions import DumpscanError, InputError, NoSuchProcessError, UsageError
from dumpscan.findings import (
    Certificate,
    EncryptedContainer,
    Finding,
    Location,
    PrivateKey,
    Process,
    PublicKey,
    SymmetricKey,
)
from dumpscan.memory.open import NoDumpError

__all__ = [
    "Certificate",
    "DumpscanError",
    "EncryptedContainer",
    "Finding",
    "InputError",
    "Location",
    "NoDumpError",
    "NoSuchProcessError",
    "PrivateKey",
    "Process",
    "PublicKey",
    "SearchResult",
    "SymmetricKey",
    "UsageError",
    "__version__",
    "open_dump",
    "search",
]

"""`vol -p plugins -f IMAGE dumpscan.keys.Keys`: everything secret in a kernel image, as a plugin of volatility3.

This file uses volatility3's interfaces, whose licence (VSL 1.0) asks that works which depend on it come under it too;
all that it calls in dumpscan stands without volatility3's plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from volatility3.framework import interfaces, renderers

from .searching import PLACE_COLUMNS, aes_requirement, findings_of, place_values, requirements_of_search

from dumpscan.artifacts.keys.self_test_keys import carrier_of
from dumpscan.artifacts.registry import KEYS
from dumpscan.findings import EncryptedContainer, PrivateKey, SymmetricKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.findings import Finding, Location


class Keys(interfaces.plugins.PluginInterface):
    """Finds private keys as files, messages and libraries hold them, AES keys and key containers."""

    _required_framework_version = (2, 0, 0)
    _version = (1, 0, 0)

    @classmethod
    def get_requirements(cls) -> list[interfaces.configuration.RequirementInterface]:
        """Say what the plugin wants: a kernel, and filters if the user has any."""
        return [*requirements_of_search(), aes_requirement(default=True)]

    def run(self) -> renderers.TreeGrid:
        """Scan, and give one row for every place of everything secret."""
        return renderers.TreeGrid(
            [
                *PLACE_COLUMNS,
                ("Kind", str),
                ("Name", str),
                ("Encoding", str),
                ("Library", str),
                ("Structure", str),
                ("Missing", str),
                ("Key ID", str),
                ("Opens", str),
                ("Test key of", str),
            ],
            self._generator(),
        )

    def _generator(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        for finding in findings_of(self, KEYS if self.config.get("aes", True) else KEYS.without_aes()):
            for location in finding.locations:
                yield 0, _row(finding, location)


def _row(finding: Finding, location: Location) -> tuple[Any, ...]:
    absent = renderers.NotApplicableValue()
    certificates = finding.certificates if isinstance(finding, PrivateKey) else ()
    held = location.key_object
    match finding:
        case PrivateKey():
            name, key_id = f"{finding.algorithm} {finding.curve or finding.bits}", finding.key_id
        case SymmetricKey():
            name, key_id = f"{finding.algorithm} {finding.bits}", finding.key_id
        case EncryptedContainer():
            name, key_id = finding.container, finding.sha256
        case _:
            name, key_id = finding.kind, finding.sha256
    return (
        *place_values(location),
        finding.kind,
        name,
        location.encoding,
        absent if held is None else held.library or "unknown",
        (held.structure if held else None) or absent,
        ", ".join(held.missing_parts if held else ()) or absent,
        key_id,
        ", ".join(certificate.subject for certificate in certificates) or absent,
        carrier_of(key_id) or absent,
    )

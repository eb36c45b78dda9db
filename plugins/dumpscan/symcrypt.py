"""`vol -p plugins -f IMAGE dumpscan.symcrypt.SymCrypt`: SymCrypt's keys in a kernel image, as a plugin of volatility3.

This file uses volatility3's interfaces, whose licence (VSL 1.0) asks that works which depend on it come under it too;
all that it calls in dumpscan stands without volatility3's plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from volatility3.framework import interfaces, renderers
from volatility3.framework.renderers import format_hints

from .searching import PLACE_COLUMNS, aes_requirement, findings_of, place_values, requirements_of_search

from dumpscan.artifacts.registry import SYMCRYPT
from dumpscan.findings import PrivateKey, PublicKey, SymmetricKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.findings import Finding, Location


class SymCrypt(interfaces.plugins.PluginInterface):
    """Finds the keys that Windows' own crypto library holds in memory, and proves each by arithmetic."""

    _required_framework_version = (2, 0, 0)
    _version = (1, 0, 0)

    @classmethod
    def get_requirements(cls) -> list[interfaces.configuration.RequirementInterface]:
        """Say what the plugin wants: a kernel, and filters if the user has any."""
        return [*requirements_of_search(), aes_requirement(default=False)]

    def run(self) -> renderers.TreeGrid:
        """Scan, and give one row for every place of every key."""
        return renderers.TreeGrid(
            [
                *PLACE_COLUMNS,
                ("Kind", str),
                ("Algorithm", str),
                ("Bits", int),
                ("Layout", str),
                ("Architecture", str),
                ("Wrapper", format_hints.Hex),
                ("Missing", str),
                ("Disagrees", str),
                ("Key ID", str),
                ("Opens", str),
            ],
            self._generator(),
        )

    def _generator(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        for finding in findings_of(self, SYMCRYPT.with_aes() if self.config.get("aes", False) else SYMCRYPT):
            for location in finding.locations:
                if location.key_object is not None:
                    yield 0, _row(finding, location)


def _row(finding: Finding, location: Location) -> tuple[Any, ...]:
    found = location.key_object
    absent, unknown = renderers.NotApplicableValue(), renderers.UnreadableValue()
    if found is None or not isinstance(finding, PrivateKey | PublicKey | SymmetricKey):
        raise AssertionError
    curve = None if isinstance(finding, SymmetricKey) else finding.curve
    certificates = () if isinstance(finding, SymmetricKey) else finding.certificates
    return (
        *place_values(location),
        finding.kind,
        finding.algorithm if curve is None else f"{finding.algorithm} {curve}",
        finding.bits,
        found.layout or (unknown if found.library else absent),
        found.architecture or absent,
        absent if found.wrapper is None else format_hints.Hex(found.wrapper),
        ", ".join(found.missing_parts) or absent,
        ", ".join(found.wrong_parts) or absent,
        finding.key_id,
        ", ".join(certificate.subject for certificate in certificates) or absent,
    )

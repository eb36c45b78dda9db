"""`vol -p plugins -f IMAGE dumpscan.x509.X509`: dumpscan's scan of a kernel image as a plugin of volatility3.

This file uses volatility3's interfaces, whose licence (VSL 1.0) asks that works which depend on it come under it too;
all that it calls in dumpscan stands without volatility3's plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from volatility3.framework import interfaces, renderers

from .searching import PLACE_COLUMNS, findings_of, place_values, requirements_of_search

from dumpscan.artifacts.registry import X509 as CERTIFICATES_AND_KEYS
from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.findings import Finding, Location


class X509(interfaces.plugins.PluginInterface):
    """Finds X.509 certificates and private keys in physical memory, and the processes that see them."""

    _required_framework_version = (2, 0, 0)
    _version = (1, 0, 0)

    @classmethod
    def get_requirements(cls) -> list[interfaces.configuration.RequirementInterface]:
        """Say what the plugin wants: a kernel, and filters if the user has any."""
        return requirements_of_search()

    def run(self) -> renderers.TreeGrid:
        """Scan, and give one row for every place of every object."""
        return renderers.TreeGrid(
            [
                *PLACE_COLUMNS,
                ("Size", int),
                ("Missing", int),
                ("Kind", str),
                ("Encoding", str),
                ("Name", str),
                ("Belongs to", str),
                ("SHA-256", str),
            ],
            self._generator(),
        )

    def _generator(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        for finding in findings_of(self, CERTIFICATES_AND_KEYS):
            for location in finding.locations:
                yield 0, _row(finding, location)


def _row(finding: Finding, location: Location) -> tuple[Any, ...]:
    absent = renderers.NotApplicableValue()
    match finding:
        case Certificate():
            name, belongs = finding.subject or finding.serial_number, ", ".join(finding.private_keys)
        case PrivateKey():
            name = f"{finding.algorithm} {finding.curve or finding.bits}"
            belongs = ", ".join(certificate.subject for certificate in finding.certificates)
        case EncryptedContainer():
            name, belongs = f"{finding.kdf} {finding.cipher}", ""
        case _:
            name, belongs = "", ""
    return (
        *place_values(location),
        location.length,
        location.missing,
        finding.kind,
        location.encoding,
        name or absent,
        belongs or absent,
        location.sha256,
    )

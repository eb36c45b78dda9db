"""`vol -p plugins -f IMAGE dumpscan.symcrypt.SymCrypt`: SymCrypt's keys in a kernel image, as a plugin of volatility3.

This file uses volatility3's interfaces, whose licence (VSL 1.0) asks that works which depend on it come under it too;
all that it calls in dumpscan stands without volatility3's plugins.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volatility3.framework import interfaces, renderers
from volatility3.framework.configuration import requirements
from volatility3.framework.renderers import format_hints

if importlib.util.find_spec("dumpscan") is None:
    # `vol -p plugins` in a checkout that is not installed.
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from dumpscan.artifacts.registry import SYMCRYPT
from dumpscan.exceptions import DumpscanError
from dumpscan.findings import PrivateKey, PublicKey, SymmetricKey
from dumpscan.memory.kernel.image import KernelImage
from dumpscan.search.merge import Collector
from dumpscan.search.options import SearchOptions
from dumpscan.search.pairs import with_pairs, without_guesses
from dumpscan.search.run import search, search_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.findings import Finding, Location

vollog = logging.getLogger(__name__)

_PERCENT = 100


class SymCrypt(interfaces.plugins.PluginInterface):
    """Finds the keys that Windows' own crypto library holds in memory, and proves each by arithmetic."""

    _required_framework_version = (2, 0, 0)
    _version = (1, 0, 0)

    @classmethod
    def get_requirements(cls) -> list[interfaces.configuration.RequirementInterface]:
        """Say what the plugin wants: a kernel, and filters if the user has any."""
        return [
            requirements.ModuleRequirement(
                name="kernel", description="Windows kernel", architectures=["Intel32", "Intel64"]
            ),
            requirements.ListRequirement(
                name="pid",
                element_type=int,
                description="Process IDs to include (all others are left out)",
                optional=True,
            ),
            requirements.ListRequirement(
                name="name", element_type=str, description="Patterns of process names to include", optional=True
            ),
            requirements.BooleanRequirement(
                name="aes", description="Also look for AES keys, by their expanded form", default=False, optional=True
            ),
        ]

    def run(self) -> renderers.TreeGrid:
        """Scan, and give one row for every place of every key."""
        return renderers.TreeGrid(
            [
                ("PID", int),
                ("Process", str),
                ("Offset(V)", format_hints.Hex),
                ("Offset(P)", format_hints.Hex),
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
        try:
            with KernelImage.adopt(self.context, self.config["kernel"]) as image:
                findings = self._findings(image)
        except DumpscanError as error:
            vollog.error(str(error))
            return
        for finding in findings:
            for location in finding.locations:
                if location.key_object is not None:
                    yield 0, _row(finding, location)

    def _findings(self, image: KernelImage) -> list[Finding]:
        collector = Collector()
        what = SYMCRYPT.with_aes() if self.config.get("aes", False) else SYMCRYPT
        total = max(search_size(image, what), 1)
        done = 0

        def progress(size: int) -> None:
            nonlocal done
            done += size
            if self._progress_callback:
                self._progress_callback(min(done * _PERCENT / total, _PERCENT), "Searching physical memory")

        options = SearchOptions(
            pids=tuple(self.config.get("pid", None) or ()), names=tuple(self.config.get("name", None) or ())
        )
        problems = search(image, what, collector, options=options, progress=progress)
        for problem in dict.fromkeys((*image.warnings, *image.damage, *problems)):
            vollog.warning(problem)
        return what.shown(without_guesses(with_pairs(collector.findings())))


def _row(finding: Finding, location: Location) -> tuple[Any, ...]:
    process, found = location.process, location.key_object
    absent, unknown = renderers.NotApplicableValue(), renderers.UnreadableValue()
    if found is None or not isinstance(finding, PrivateKey | PublicKey | SymmetricKey):
        raise AssertionError
    curve = None if isinstance(finding, SymmetricKey) else finding.curve
    certificates = () if isinstance(finding, SymmetricKey) else finding.certificates
    return (
        absent if process is None or process.pid is None else process.pid,
        absent if process is None or process.name is None else process.name,
        absent if location.virtual_address is None else format_hints.Hex(location.virtual_address),
        absent if location.physical_address is None else format_hints.Hex(location.physical_address),
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

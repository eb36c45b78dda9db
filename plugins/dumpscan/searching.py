"""What the plugins share: a search of a kernel image that volatility3 has opened.

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

from dumpscan.exceptions import DumpscanError
from dumpscan.memory.kernel.image import KernelImage
from dumpscan.search.merge import Collector
from dumpscan.search.options import SearchOptions
from dumpscan.search.pairs import with_pairs, without_guesses
from dumpscan.search.run import search, search_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.artifacts.registry import Search
    from dumpscan.findings import Finding, Location

vollog = logging.getLogger(__name__)

PLACE_COLUMNS = (("PID", int), ("Process", str), ("Offset(V)", format_hints.Hex), ("Offset(P)", format_hints.Hex))
"""The columns for the values of `place_values`."""
_PERCENT = 100


def requirements_of_search() -> list[interfaces.configuration.RequirementInterface]:
    """Say what a search wants: a kernel, and filters if the user has any."""
    return [
        requirements.ModuleRequirement(name="kernel", description="Kernel", architectures=["Intel32", "Intel64"]),
        requirements.ListRequirement(
            name="pid",
            element_type=int,
            description="Process IDs to include (all others are left out)",
            optional=True,
        ),
        requirements.ListRequirement(
            name="name", element_type=str, description="Patterns of process names to include", optional=True
        ),
    ]


def aes_requirement(*, default: bool) -> interfaces.configuration.RequirementInterface:
    """Say that AES keys may be wanted too."""
    return requirements.BooleanRequirement(
        name="aes", description="Also look for AES keys, by their expanded form", default=default, optional=True
    )


def findings_of(plugin: interfaces.plugins.PluginInterface, what: Search) -> Sequence[Finding]:
    """Search the image for a plugin; what cannot be done is logged."""
    try:
        with KernelImage.adopt(plugin.context, plugin.config["kernel"]) as image:
            return _search(plugin, image, what)
    except DumpscanError as error:
        vollog.error(str(error))
        return ()


def _search(plugin: interfaces.plugins.PluginInterface, image: KernelImage, what: Search) -> Sequence[Finding]:
    collector = Collector()
    total = max(search_size(image, what), 1)
    report: Any = plugin._progress_callback  # noqa: SLF001 - so volatility3 hands it to plugins
    done = 0

    def progress(size: int) -> None:
        nonlocal done
        done += size
        if report:
            report(min(done * _PERCENT / total, _PERCENT), "Searching physical memory")

    options = SearchOptions(
        pids=tuple(plugin.config.get("pid", None) or ()), names=tuple(plugin.config.get("name", None) or ())
    )
    problems = search(image, what, collector, options=options, progress=progress)
    for problem in dict.fromkeys((*image.warnings, *image.damage, *problems)):
        vollog.warning(problem)
    return what.shown(without_guesses(with_pairs(collector.findings())))


def place_values(location: Location) -> tuple[Any, ...]:
    """Return process id and name, virtual and physical address of a place."""
    process, absent = location.process, renderers.NotApplicableValue()
    return (
        absent if process is None or process.pid is None else process.pid,
        absent if process is None or process.name is None else process.name,
        absent if location.virtual_address is None else format_hints.Hex(location.virtual_address),
        absent if location.physical_address is None else format_hints.Hex(location.physical_address),
    )

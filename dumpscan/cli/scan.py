"""A command that scans dumps and shows, pairs and exports what it finds: the same for every kind of dump."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.artifacts.registry import KEYS
from dumpscan.cli.options import ask_password
from dumpscan.cli.progress import ProgressBar
from dumpscan.cli.run import Run
from dumpscan.findings import Certificate, PrivateKey
from dumpscan.output.formats.render import View
from dumpscan.search.merge import Collector
from dumpscan.search.pairs import with_pairs
from dumpscan.search.scanner import Scanner, source_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dumpscan.artifacts.registry import Search
    from dumpscan.findings import Finding
    from dumpscan.memory.kernel.image import KernelImage
    from dumpscan.memory.space import AddressSpace
    from dumpscan.search.physical import KernelScanOptions


class ScanRun(Run):
    """A run that gathers findings over all its inputs.

    Args:
        group: `minidump` or `kernel`.
        search: What to look for.
        output_format: As for `Run`.
        output: Directory to export to.
        password: To encrypt exports with, as it was given.
        quiet: As for `Run`.
        progress: As for `Run`.

    Raises:
        UsageError: The password makes no sense.
    """

    def __init__(
        self,
        group: str,
        search: Search,
        output_format: str,
        output: Path | None,
        password: str | None,
        *,
        quiet: bool,
        progress: bool,
    ) -> None:
        self._output = output
        self._password = ask_password(password, output)
        view = View.SECRETS if search is KEYS else View.FINDINGS
        super().__init__(f"{group} {search.name}", view, output_format, quiet=quiet, progress=progress)
        self._search = search
        self._scanner = Scanner(search.detectors)
        self._collector = Collector()

    def progress_bar(self, path: Path, size: int) -> ProgressBar:
        """Return a bar for a scan of `size` bytes."""
        return ProgressBar(path.name, size, enabled=self.progress)

    def scan_space(self, space: AddressSpace, number: int, *, aes: bool, advance: Callable[[int], None]) -> None:
        """Scan an address space; `number` is its place among the inputs."""
        for problem in self._scanner.scan(space, self._collector, order=(number,), progress=advance):
            self.damaged(problem)
        if aes:
            from dumpscan.artifacts.symcrypt.aes import search_aes

            source = source_of(space, (number,))
            for decoded in search_aes(space, progress=advance):
                self._collector.add(decoded, source)

    def scan_image(
        self, image: KernelImage, number: int, *, options: KernelScanOptions, advance: Callable[[int], None]
    ) -> None:
        """Scan an image of physical memory; `number` is its place among the inputs."""
        from dumpscan.search.physical import scan_kernel

        problems = scan_kernel(
            image, self._scanner, self._collector, options=options, order=(number,), progress=advance
        )
        for problem in problems:
            self.damaged(problem)

    def finish(self) -> int:
        """Pair, show and export what was found; return the exit code."""
        found = with_pairs(self._collector.findings())
        shown = self._search.shown(found)
        if not shown and self.readable:
            self.note(self._search.nothing)
        self.add_findings(shown, dropped=self._collector.dropped)
        code = super().finish()
        if self._output is not None:
            opened: list[Finding] = []
            if Certificate not in self._search.kinds:  # not shown, yet what a pair is made of
                ids = {finding.key_id for finding in shown if isinstance(finding, PrivateKey)}
                opened = [finding for finding in found if isinstance(finding, Certificate) and finding.key_id in ids]
            self.export([*shown, *opened], self._output, self._password)
        return code

"""volatility3 as a library: loaded once, kept off the network, its warnings collected instead of printed.

No module imports volatility3 at the top: that takes a tenth of a second, and only kernel images need it.
"""

from __future__ import annotations

import importlib
import logging
import os
import pkgutil
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dumpscan.exceptions import DumpscanError
from dumpscan.files import make_private
from dumpscan.memory.packed.scratch import ScratchDirectory
from dumpscan.memory.symbols.user_dirs import cache_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    Volatility = Any  # modules and objects of volatility3, whose type hints do not hold under `mypy --strict`

OLDEST = (2, 28)
"""Oldest release of volatility3 whose plugins and layers behave as dumpscan expects."""

_MAX_WORDS = 200
"""Characters of an error of volatility3 that are passed on."""
_REMOTE_LAYERS = {"leechcore", "cloudstorage"}
"""Layers that open devices or use the network. dumpscan reads only the files that it is given."""


class _Ear(logging.Handler):
    """Collects what volatility3 logs in the list of the innermost `listening` block."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[list[str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if self.heard:
            _note(self.heard[-1], record.getMessage())


_ear = _Ear()
_substitutes: list[ScratchDirectory] = []
"""Replacement for a cache directory that cannot be made; removed when the program ends."""


def _note(heard: list[str], message: str) -> None:
    sentence = "volatility3: " + " ".join(message.split())
    if sentence not in heard:
        heard.append(sentence)


@contextmanager
def listening(heard: list[str]) -> Iterator[None]:
    """Append the warnings that volatility3 logs or raises in this block to `heard`, each once; nothing is printed."""
    logger = logging.getLogger("volatility3")
    propagate = logger.propagate
    if _ear not in logger.handlers:
        logger.addHandler(_ear)
    logger.propagate = False
    _ear.heard.append(heard)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for warning in caught:
            if not issubclass(warning.category, DeprecationWarning | ResourceWarning):
                _note(heard, str(warning.message))
    finally:
        _ear.heard.pop()
        logger.propagate = propagate


def load(cache: Path | None = None) -> Volatility:
    """Import volatility3's framework and set it up: dumpscan's cache directory, no network.

    If it is loaded already, because dumpscan runs in one of its plugins, it is left as it is.

    Args:
        cache: Directory for its cache; by default one in dumpscan's.

    Returns:
        The package `volatility3.framework`.

    Raises:
        DumpscanError: It is not installed, or too old.
    """
    if "volatility3.framework" in sys.modules:
        return sys.modules["volatility3.framework"]
    directory = cache or cache_directory()
    try:
        make_private(directory)
        writable = os.access(directory, os.W_OK)
    except OSError:
        writable = False
    # Importing its constants makes a cache directory at once, and fails below a home directory that is not writable,
    # as on many forensic workstations. It takes the directory's parent from one of the variables below.
    if not writable:
        _substitutes.append(ScratchDirectory())
    parent = str(directory) if writable else _substitutes[-1].name
    names = ("XDG_CACHE_HOME", "APPDATA")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, parent))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            framework: Volatility = importlib.import_module("volatility3.framework")
            constants: Volatility = importlib.import_module("volatility3.framework.constants")
    except ImportError as error:
        raise DumpscanError(f"volatility3 cannot be loaded, which reads kernel images: {error}") from error
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    if framework.interface_version() < (*OLDEST, 0):
        raise DumpscanError(
            f"volatility3 {constants.PACKAGE_VERSION} is too old; {'.'.join(map(str, OLDEST))} is needed"
        )
    constants.OFFLINE = True
    constants.PARALLELISM = constants.Parallelism.Off
    return framework


def plugins_directory() -> Path:
    """Return the directory of the plugins for `vol -p`: in the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "volatility_plugins"
    return installed if installed.is_dir() else package.parent / "plugins"


def words(error: Exception) -> str:
    """Put an error of volatility3 into one line of bounded length."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:_MAX_WORDS]


def module(name: str) -> Volatility:
    """Import one of volatility3's modules by its name below `volatility3.`."""
    return importlib.import_module(f"volatility3.{name}")


def load_layers() -> None:
    """Import every layer that reads an image format, so that volatility3 knows its stacker."""
    layers = module("framework.layers")
    for found in pkgutil.iter_modules(layers.__path__):
        if found.name not in _REMOTE_LAYERS and not found.ispkg:
            module(f"framework.layers.{found.name}")

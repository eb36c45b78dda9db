"""Errors that a user or an input can cause: one base class, and messages that are shown as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class DumpscanError(Exception):
    """Base of every error that an input or a user can cause. Its text is fit to be shown as it is."""


class UsageError(DumpscanError):
    """The command was asked for something that it cannot mean (exit code 2)."""


class NoSuchProcessError(UsageError):
    """A process was asked for that the dump does not have (exit code 2, unless another dump has it)."""


class InputError(DumpscanError):
    """A file could not be opened, or is no file of the kind asked for (exit code 1).

    The message names the file, the offset in bytes (where there is one) and what was expected there.
    """

    def __init__(self, path: Path | str, problem: str, *, offset: int | None = None) -> None:
        self.path = str(path)
        self.problem = problem
        self.offset = offset
        at = "" if offset is None else f" at offset {offset:#x}"
        super().__init__(f"{self.path}{at}: {problem}")


class UnpackError(InputError):
    """A packed file could not be unpacked, or not within its bounds."""


class PasswordError(UnpackError):
    """An archive needs a password, or another one."""


class NoMemberError(UnpackError):
    """An archive does not have the file that was asked for."""


class SeveralFilesError(UnpackError):
    """An archive has several files, and none of them was named."""


class BombError(UnpackError):
    """A packed file unpacks to so much more than its size that it was made to fill a disk."""


class ExportError(DumpscanError):
    """Something could not be written to the output directory; nothing half-written was left there."""


class ScenarioError(DumpscanError):
    """A scenario file for the synthetic dump generator says something that cannot be built."""


def reason(error: Exception) -> str:
    """Return why the system refused something, without the name of the file: `No such file or directory`.

    Functions that take a path raise ValueError for one that contains a NUL; its text says so.
    """
    return (isinstance(error, OSError) and error.strerror) or str(error)

"""Secrets that processes are given as text: values of environment variables, and arguments of command lines."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from dumpscan.case.triage.environment import is_random, is_secret_name
from dumpscan.redact.filling import is_filling
from dumpscan.redact.secret import Secret, Value, What
from dumpscan.redact.shapes.credentials import MIN_COPIED, is_plausible, secret_of
from dumpscan.redact.values.forms import MIN_ALONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.findings import Process
    from dumpscan.redact.secret import Wanted

_HARMLESS = (
    "ALLUSERSPROFILE APPDATA COMMONPROGRAMFILES COMMONPROGRAMFILES(X86) COMMONPROGRAMW6432 COMPUTERNAME COMSPEC "
    "DRIVERDATA HOMEDRIVE HOMEPATH LOCALAPPDATA LOGONSERVER NUMBER_OF_PROCESSORS OS PATH PATHEXT "
    "PROCESSOR_ARCHITECTURE PROCESSOR_ARCHITEW6432 PROCESSOR_IDENTIFIER PROCESSOR_LEVEL PROCESSOR_REVISION "
    "PROGRAMDATA PROGRAMFILES PROGRAMFILES(X86) PROGRAMW6432 PSMODULEPATH PUBLIC SESSIONNAME SYSTEMDRIVE SYSTEMROOT "
    "TEMP TMP TMPDIR USERDOMAIN USERPROFILE WINDIR HOME LANG LANGUAGE LC_ALL LC_CTYPE LOGNAME OLDPWD PWD SHELL "
    "SHLVL TERM TZ USER XDG_RUNTIME_DIR XDG_SESSION_TYPE _ "
)
HARMLESS = frozenset(_HARMLESS.split())
"""Variables whose values say where things are, and in which language; they stay."""

_MIN_TOKEN = 20
_MIN_MIXED = 12
"""Characters of the shortest value of letters and digits that is looked for without its variable's name before it."""
_SYSTEM = re.compile(r"(?i)(?:x86|i[3-6]86|amd64|arm|aarch64|linux|xterm|v?\d+(?:\.\d+)+)")
"""Openings of values that name a machine, a terminal or a version: they are in programs, too."""
_OPTION = re.compile(r"(--?|/)([A-Za-z][\w.-]*)(?:[=:](.*))?", re.DOTALL)
_SHORT = re.compile(r"-p(.*)", re.DOTALL)
_SECRET_OPTIONS = re.compile(
    r"(?i)(?:passw|passphrase|^pass$|^pwd$|secret|token|api-?key|access-?key|credential|^auth$)(?!.*-?(?:file|path|dir|url)$)"
)
_PORT = re.compile(r"\d{1,5}")
"""What `-p` is followed by where it means a port."""
_OPENSSL = "pass:"
"""What stands before a password on OpenSSL's command line (openssl-passphrase-options(1))."""
_IN_URL = re.compile(r"://[^\s/:@]*:([^\s/@]+)@")
MAX_ARGUMENTS = 10_000


def environment_secrets(process: Process, wanted: Wanted, modules: str = "") -> Iterator[Secret]:
    """Yield the values of a process's variables, but for harmless ones.

    Args:
        process: The process.
        wanted: What is to go.
        modules: The names of its modules, which stay: a value that is part of one goes only behind its variable's name.
    """
    kept = HARMLESS | {name.upper() for name in wanted.keep_environment}
    for entry in process.environment:
        at = entry.find("=", 1)
        name, value = entry[: max(at, 0)], _bytes(entry[at + 1 :])
        if at < 1 or not value or name.startswith("=") or name.upper() in kept or is_filling(value):
            continue
        values = [Value(value, "value", random=False, text=True, before=_bytes(name) + b"=")]
        if len(value) >= MIN_ALONE and _is_copied(name, value) and entry[at + 1 :] not in modules:
            values.append(Value(value, "value", random=False, text=True))
        yield Secret(What.ENVIRONMENT, name, values=tuple(values))


def _is_copied(name: str, value: bytes) -> bool:
    """Return whether a value is looked for everywhere, not only behind its variable's name."""
    if is_secret_name(name):
        return is_plausible(value) or len(value) >= MIN_COPIED
    text = value.decode(errors="replace")
    if re.search(r"[\s/\\:;]", text) or _SYSTEM.match(text):
        return False
    return (len(text) >= _MIN_MIXED and is_plausible(value)) or (len(text) >= _MIN_TOKEN and is_random(text))


def argument_secrets(process: Process) -> Iterator[Secret]:
    """Yield the arguments of a process that are secrets by the name of their option."""
    arguments = process.arguments
    for line in (process.command_line, process.command_line_32):
        if line is not None:
            yield from _secrets_of(arguments if arguments is not None else _split(line))


def _secrets_of(arguments: tuple[str, ...] | list[str]) -> Iterator[Secret]:
    expected: str | None = None
    for argument in arguments[:MAX_ARGUMENTS]:
        if (
            expected is not None
            and not argument.startswith("--")
            and not (expected == "-p" and _PORT.fullmatch(argument))
        ):
            yield from _secret(expected, argument, expected, (" ", "\0", '" "', "' '", '"', ' "'))
        expected = None
        option = _OPTION.fullmatch(argument)
        if option and _SECRET_OPTIONS.search(option[2]):
            if option[3]:
                head = argument[: len(argument) - len(option[3])]
                yield from _secret(option[1] + option[2], option[3].strip("\"'"), head, ("", '"', "'"))
            else:
                expected = argument
        elif argument == "-p":
            expected = argument
        elif (short := _SHORT.fullmatch(argument)) and is_plausible(_bytes(short[1])) and len(short[1]) >= MIN_ALONE:
            yield from _secret("-p", short[1], "-p", ("",))
        elif url := _IN_URL.search(argument):
            yield secret_of(What.ARGUMENTS, "password in a URL", _bytes(url[1]))


def _secret(label: str, value: str, before: str, between: tuple[str, ...]) -> Iterator[Secret]:
    """Yield a secret that is looked for behind its option, and by itself if it is no common word."""
    data = _bytes(value)
    if not data or is_filling(data):
        return
    if value.startswith(_OPENSSL):
        yield from _secret(label, value.removeprefix(_OPENSSL), _OPENSSL, ("",))
    values = [Value(data, "value", random=False, text=True, before=_bytes(before + each)) for each in between]
    if len(data) >= MIN_ALONE and (is_plausible(data) or len(data) >= MIN_COPIED):
        values.append(Value(data, "value", random=False, text=True))
    yield Secret(What.ARGUMENTS, label, values=tuple(values))


def _split(line: str) -> list[str]:
    """Cut a command line into arguments; quotation marks that do not close are taken for characters."""
    try:
        return shlex.split(line, posix=False)
    except ValueError:
        return line.split()


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape" if not _has_wide_surrogates(text) else "surrogatepass")


def _has_wide_surrogates(text: str) -> bool:
    return any("\ud800" <= each <= "\udfff" and not "\udc80" <= each <= "\udcff" for each in text)

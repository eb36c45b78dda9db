"""Options that mean the same in every command, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dumpscan.exceptions import UsageError
from dumpscan.output.formats.registry import Format

Images = Annotated[
    list[Path], typer.Argument(metavar="IMAGE...", help="Images of physical memory.", show_default=False)
]
Symbols = Annotated[
    list[Path] | None,
    typer.Option(
        "--symbols",
        metavar="DIR",
        help="Symbol tables of kernels, to be looked at first; may be repeated.",
        envvar="DUMPSCAN_SYMBOLS",
        show_envvar=True,
        show_default=False,
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline/--online",
        help="Whether to stay off the network, or to fetch a missing symbol table from Microsoft's symbol server.",
    ),
]
ArchivePassword = Annotated[
    str | None,
    typer.Option(
        "--archive-password",
        metavar="TEXT",
        help="Password of encrypted archives (zip, 7z).",
        envvar="DUMPSCAN_ARCHIVE_PASSWORD",
        show_envvar=True,
        show_default=False,
    ),
]
Scratch = Annotated[
    Path | None,
    typer.Option(
        "--scratch",
        metavar="DIR",
        help="Where to unpack packed dumps, for as long as they are read; by default the system's directory.",
        show_default=False,
        file_okay=False,
    ),
]
SysrootOption = Annotated[
    Path | None,
    typer.Option(
        "--sysroot",
        metavar="DIR",
        help="Directory with the programs and libraries of a core's machine: what the core leaves out of them is read "
        "there, if the build id agrees.",
        show_default=False,
        file_okay=False,
        exists=True,
    ),
]
Pids = Annotated[
    list[int] | None,
    typer.Option("--pid", metavar="N", help="Only this process; may be repeated.", show_default=False),
]
Names = Annotated[
    list[str] | None,
    typer.Option("--name", metavar="GLOB", help="Only processes of such a name; may be repeated.", show_default=False),
]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to write the results.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No warnings, no progress: results and errors only.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="No progress bar.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="Export certificates, private keys and pairs into DIR, with a manifest of the evidence.",
        show_default=False,
        file_okay=False,
    ),
]
Aes = Annotated[
    bool,
    typer.Option("--aes/--no-aes", help="Whether to look for AES keys, by their expanded form, in a pass of its own."),
]
AesUnaligned = Annotated[
    bool,
    typer.Option(
        "--aes-unaligned",
        help="Look for AES keys at addresses that are no multiples of four too: takes four times as long.",
    ),
]
Deep = Annotated[
    bool,
    typer.Option(
        "--deep",
        help="Look for the private key of every certificate and public key, whatever form its numbers have; may take "
        "several times as long.",
    ),
]
Password = Annotated[
    str | None,
    typer.Option(
        "--password",
        metavar="TEXT",
        help="Encrypt exported keys and PFX files; `-` asks for it without echo.",
        envvar="DUMPSCAN_PASSWORD",
        show_envvar=True,
        show_default=False,
    ),
]


def ask_password(password: str | None, output: Path | None) -> bytes | None:
    """Return the password to encrypt exports with; ask for it, twice and without echo, if it is given as `-`.

    Raises:
        UsageError: There is a password and nothing to encrypt, or it is empty.
    """
    if password is None:
        return None
    if output is None:
        raise UsageError("--password encrypts what --output exports: give --output DIR too")
    if password == "-":  # noqa: S105 - the sign for asking
        password = str(typer.prompt("Password for exported keys", hide_input=True, confirmation_prompt=True, err=True))
    if not password:
        raise UsageError("an empty password protects nothing: give one, or export without --password")
    return password.encode()

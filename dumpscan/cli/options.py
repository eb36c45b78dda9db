"""Options that mean the same in every command, declared once: decorators of the functions that commands call."""

from __future__ import annotations

from pathlib import Path

import click

from dumpscan.cli.commands import AtLeast, Judging, OneOf
from dumpscan.exceptions import UsageError
from dumpscan.output.formats.registry import Format

FILE = click.Path(path_type=Path)
"""A path as it is given; what cannot be read is reported by the command."""
DIRECTORY = click.Path(path_type=Path, file_okay=False)
EXISTING_DIRECTORY = click.Path(path_type=Path, file_okay=False, exists=True)

images = click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=FILE, help="Images of memory.")
case_file = click.argument("case", metavar="CASE", type=FILE, help="The case file.")
symbols = click.option(
    "--symbols",
    metavar="DIR",
    type=FILE,
    multiple=True,
    envvar="DUMPSCAN_SYMBOLS",
    show_envvar=True,
    help="Look for symbol tables of kernels here first. May be repeated.",
)
offline = click.option(
    "--offline/--online",
    default=True,
    show_default=True,
    help="Stay off the network, or download a missing symbol table from Microsoft's symbol server.",
)
archive_password = click.option(
    "--archive-password",
    metavar="TEXT",
    envvar="DUMPSCAN_ARCHIVE_PASSWORD",
    show_envvar=True,
    help="Open encrypted archives (zip, 7z) with this password.",
)
scratch = click.option(
    "--scratch",
    metavar="DIR",
    type=DIRECTORY,
    help="Unpack packed dumps and keep fetched ones here while they are read, instead of in the system's directory. "
    "Images of memory that are compressed page by page are unpacked into memory without this option.",
)
sysroot = click.option(
    "--sysroot",
    metavar="DIR",
    type=EXISTING_DIRECTORY,
    help="Read from the programs and libraries in DIR what a core leaves out of them, if the build id agrees.",
)
pids = click.option(
    "--pid", "pids", metavar="N", type=AtLeast(0), multiple=True, help="Report only this process. May be repeated."
)
names = click.option(
    "--name",
    "names",
    metavar="NAME",
    multiple=True,
    help="Report only processes with this in their names; wildcards must match a whole name. May be repeated.",
)
output_format = click.option(
    "--format",
    "-f",
    "output_format",
    type=OneOf(Format),
    default=Format.TABLE.value,
    show_default=True,
    help="Write the results in this form.",
)
at = click.option(
    "--at",
    metavar="capture|now|DATE",
    type=Judging(),
    help="Judge certificates by when the dumps were made, by the present, or by a day such as 2025-06-01. Without it, "
    "what is valid at capture or now counts as live.",
)
everything = click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Show also the certificates of well-known CAs, which tables only count.",
)
quiet = click.option("--quiet", "-q", is_flag=True, help="Show no warnings and no progress: results and errors only.")
no_progress = click.option("--no-progress", is_flag=True, help="Show no progress bar.")
output = click.option(
    "--output",
    "-o",
    metavar="DIR",
    type=DIRECTORY,
    help="Export what was found into DIR, with a manifest of the evidence.",
)
aes = click.option(
    "--aes/--no-aes",
    default=True,
    show_default=True,
    help="Look for AES keys, by their expanded form, in a pass of its own; or do not.",
)
aes_unaligned = click.option(
    "--aes-unaligned",
    is_flag=True,
    help="Look for AES keys also at addresses that are not multiples of four: takes four times as long.",
)
tls = click.option(
    "--tls",
    is_flag=True,
    help="Look for secrets of TLS sessions too, in two passes of their own; `--fail-on tls-secret` implies it.",
)
capture = click.option(
    "--capture",
    metavar="FILE",
    type=FILE,
    help="A pcap or pcapng file: only secrets of its sessions, proven by a record that they decrypt.",
)
deep = click.option(
    "--deep",
    is_flag=True,
    help="Look for the private key of every certificate and public key, whatever form its numbers have; "
    "may take several times as long.",
)
certificates = click.option(
    "--certificate",
    "certificates",
    metavar="FILE",
    type=FILE,
    multiple=True,
    help="Look for the private key of this certificate or public key, whatever form its numbers have, also if the "
    "certificate is not in the dump. May be repeated.",
)
password = click.option(
    "--password",
    metavar="TEXT",
    envvar="DUMPSCAN_PASSWORD",
    show_envvar=True,
    help="Encrypt exported keys and PFX files. `-` asks for the password without echo.",
)


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
        password = str(click.prompt("Password for exported keys", hide_input=True, confirmation_prompt=True, err=True))
    if not password:
        raise UsageError("an empty password protects nothing: give one, or export without --password")
    return password.encode()

"""Ground truth: the content of a synthetic dump as JSON. It holds no key material."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from dumpscan.synth.scenario import ProcessSpec

TRUTH_FORMAT = 1
"""Version of the JSON form, as `format` in every truth."""


def process_truth(process: ProcessSpec, architecture: str) -> dict[str, Any]:
    """Return a process in the terms of `dumpscan.findings.Process`."""
    return {
        "pid": process.pid,
        "name": process.name,
        "parent_pid": process.parent_pid,
        "executable": process.executable,
        "command_line": process.command_line,
        "environment": list(process.environment),
        "architecture": architecture,
        "session": process.session,
        "wow64": process.wow64,
        "created": timestamp(process.created),
    }


def timestamp(moment: datetime) -> str:
    """Return a UTC moment in ISO 8601."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def truth_bytes(truth: Mapping[str, Any]) -> bytes:
    """Return the truth as JSON text, the same on every run. Lone surrogates are written as escapes."""
    return (json.dumps(truth, indent=1, ensure_ascii=True) + "\n").encode()

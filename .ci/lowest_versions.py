"""Print the lowest version of each dependency that `pyproject.toml` allows, as constraints for pip."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

_LOWER = re.compile(r"(?P<name>[A-Za-z0-9._-]+)>=(?P<version>[0-9.]+),<[0-9.]+(?P<marker>; .*)?")
"""The form of every dependency: a lower and an upper bound, and on which machines it is needed."""


def lowest_versions(dependencies: list[str]) -> list[str]:
    """Return `name==version` for each dependency.

    Raises:
        ValueError: One has another form.
    """
    found = []
    for dependency in dependencies:
        bounds = _LOWER.fullmatch(dependency)
        if bounds is None:
            raise ValueError(f"{dependency}: expected name>=lowest,<first-that-is-too-new")
        found.append(f"{bounds['name']}=={bounds['version']}{bounds['marker'] or ''}")
    return found


if __name__ == "__main__":
    settings = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print("\n".join(lowest_versions(settings["project"]["dependencies"])))

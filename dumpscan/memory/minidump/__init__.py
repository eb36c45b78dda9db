"""Floor 1: user-mode minidumps."""

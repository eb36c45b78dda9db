"""The fuzzing harness: `make fuzz` runs it for hours, `test_fuzz.py` for a moment with a fixed seed."""

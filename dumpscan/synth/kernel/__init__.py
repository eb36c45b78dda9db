"""Physical memory images of Windows, built from a scenario."""

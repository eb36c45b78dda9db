"""Floor 1: memory that Windows fills in the same way in every kind of dump: process environment blocks, times, GUIDs."""

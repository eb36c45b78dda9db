"""Physical memory of a synthetic image: its frames, page tables and filler, and the files that hold it."""

"""Floor 1: images of physical memory: containers, page tables, page map, virtual memory."""

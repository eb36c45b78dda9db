"""Floor 4: a scenario in, a dump and its ground truth out, from the same memory model that the readers use."""

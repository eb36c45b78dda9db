"""Floor 4: many dumps at once: triage, the case file that keeps what was found, and the gate."""

"""The keys that are in use in a process, against which secrets are proven."""

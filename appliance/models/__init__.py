"""Model files: what is in them, what they take of memory, where they lie and come from."""

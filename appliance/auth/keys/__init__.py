"""API keys, kept as hashes, and changes to them by any process."""

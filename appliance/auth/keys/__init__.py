"""API keys as hashes, and what changes about them, whoever changes it."""

"""Models on this machine, and downloads of others."""

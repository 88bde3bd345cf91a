"""Settings and their sources, folders, and logging."""

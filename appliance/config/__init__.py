"""Settings: what there is, where they come from, the folders and the log."""

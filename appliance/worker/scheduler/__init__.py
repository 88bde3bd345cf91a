"""Who runs next, and where a prompt's beginning was computed already. Pure Python."""

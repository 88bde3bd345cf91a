"""Around every route: who may call it, log lines, metrics."""

"""Around every route: authorization, log lines, metrics."""

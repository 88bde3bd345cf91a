"""Runners: the native side of a worker. One file owns one library."""

"""Scheduling, and reuse of prompt prefixes that are already computed. Pure Python."""

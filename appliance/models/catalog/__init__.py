"""Models that are worth having, and what names mean."""

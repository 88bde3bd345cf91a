"""Grammars and JSON schemas that a reply keeps to."""

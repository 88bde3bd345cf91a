"""Grammars and JSON schemas that constrain a reply."""

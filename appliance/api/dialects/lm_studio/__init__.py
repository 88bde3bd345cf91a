"""LM Studio's REST API, version 0."""

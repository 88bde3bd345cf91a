"""Anthropic's API: messages, their length, models."""

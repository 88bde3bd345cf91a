"""Prompts out of messages, by the model's template, in a process of its own."""

"""Data stored for each caller besides chats: preferences, presets, responses."""

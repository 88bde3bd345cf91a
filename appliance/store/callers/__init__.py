"""Data stored for each caller besides chats: preferences, responses."""

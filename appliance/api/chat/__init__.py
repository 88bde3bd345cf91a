"""Stored chats: sessions, turns, replies as they come, search, import and export."""

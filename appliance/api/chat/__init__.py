"""Stored chats: sessions, turns, streamed replies, search, import and export."""

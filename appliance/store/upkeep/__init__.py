"""Upkeep of stored chats: age, expiry and purging; and notices for users."""

"""What callers keep beside chats, each for themselves: preferences, responses."""

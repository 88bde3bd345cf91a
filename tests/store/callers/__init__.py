"""What each caller keeps beside chats."""

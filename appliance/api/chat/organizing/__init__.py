"""How a caller keeps chats in order: folders, drafts, and what was deleted."""

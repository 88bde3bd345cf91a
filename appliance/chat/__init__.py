"""Chat: one turn from the user's message to the stored reply, and replies in flight."""

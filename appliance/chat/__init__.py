"""Chat: one turn from the person's message to the stored reply, and replies in flight."""

"""Text out of tokens; reasoning and tool calls out of text. Pure Python."""

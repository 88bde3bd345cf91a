"""Model files: their headers, their memory, where they are and where they come from."""

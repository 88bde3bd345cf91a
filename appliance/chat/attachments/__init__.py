"""Files that messages have with them: read as text, in a process with bounds."""

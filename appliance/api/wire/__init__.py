"""What all dialects share: bodies, answers, errors, event streams."""

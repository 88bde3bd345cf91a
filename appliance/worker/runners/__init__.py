"""The native side. One folder owns one library; `base` is what they have in common."""

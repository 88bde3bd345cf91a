"""The composition root: builds every object, starts and stops them in order."""

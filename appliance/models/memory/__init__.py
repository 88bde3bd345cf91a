"""What a model takes of memory: by estimate, and as measured."""

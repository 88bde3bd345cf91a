"""A worker process: it has one model, and takes commands on stdin.

The service imports nothing of it; both meet in `engine.types` and `engine.protocol`.
"""

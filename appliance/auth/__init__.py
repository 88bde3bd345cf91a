"""Authentication and authorization: which keys are valid, where they are kept, and rate limits.

A secret leaves this folder once, to the person for whom it was made; otherwise there are only
hashes.
"""

"""Who may do what: which keys are good, where they lie, and how much each may ask.

A secret leaves this folder once, to the person for whom it was made; otherwise there are only
hashes.
"""

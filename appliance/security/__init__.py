"""Who may do what: where secrets lie, which keys are good, and how much each may ask.

`vault` is the place of secrets, chosen by the configuration and never guessed, `keys` the API keys
in it, `rate_limit` how many requests a key or an address has. A secret leaves this room once, to
the person for whom it was made; otherwise there are only hashes.
"""

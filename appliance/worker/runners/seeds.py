"""Random numbers by position: what is drawn for a token depends on the seed and on how many tokens
came before it, and not on what was drawn for those."""

import hashlib
import struct

_SEEDS = 2**32 - 1
"""llama.cpp takes the last number of 32 bits for the wish for any seed at all."""


def seed_at(seed: int, position: int) -> int:
    """The seed for one token: of 32 bits, and none that is next to its neighbours'."""
    digest = hashlib.blake2b(struct.pack("<QQ", seed, position), digest_size=8).digest()
    return int.from_bytes(digest, "little") % _SEEDS

"""Model files on this machine, whichever program keeps them."""

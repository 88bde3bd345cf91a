"""`python -m native`, with `packaging/` on the path."""

import sys

from native.install import main

if __name__ == "__main__":
    main(*sys.argv[1:])

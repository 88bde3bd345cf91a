"""`python -m native`, with `packaging/` on the path."""

from native.install import main

if __name__ == "__main__":
    main()

"""Puts llama.cpp into an environment: its libraries into a folder, its functions as a package.

`python -m native` in `packaging/` does all of it; see `native.install`.
"""

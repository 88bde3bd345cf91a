"""Installs llama.cpp into an environment: its libraries into a folder, its bindings as a package.

`python -m native` in `packaging/` does both; see `native.install`.
"""

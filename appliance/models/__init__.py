"""Which model files are here, what is in them, and whether they fit this machine.

`gguf` reads a file's header and refuses what would hurt native code, `fit` says how much memory a
model will take. Pure Python: nothing here loads a model library.
"""

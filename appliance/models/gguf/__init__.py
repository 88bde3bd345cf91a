"""GGUF headers, read and checked before native code sees a file."""

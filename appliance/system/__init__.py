"""The operating system: hardware, processes, files."""

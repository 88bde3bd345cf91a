"""llama.cpp's library itself: loading it, its interface, devices, threads."""

"""Old GGML files, by ctransformers."""

"""Which of llama.cpp's variants for this processor compute right, and the one to take."""

"""Verification of llama.cpp's variants for this processor, and the choice of one."""

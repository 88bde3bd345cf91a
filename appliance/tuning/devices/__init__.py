"""Verification of GPUs: whether one computes what the processor computes."""

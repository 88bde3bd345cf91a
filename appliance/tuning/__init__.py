"""Verification and tuning on this machine: which code computes correctly, and what is fastest."""

"""Verification and tuning on this machine: which code computes right, and what is fastest."""

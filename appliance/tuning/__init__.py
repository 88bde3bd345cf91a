"""What is found out on this machine: which code computes right, and what is fastest."""

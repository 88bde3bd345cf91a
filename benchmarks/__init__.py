"""How fast and how small the appliance is, beside other servers on the same file."""

"""What `appliance doctor` finds on this machine."""

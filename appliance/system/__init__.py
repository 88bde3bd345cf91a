"""What the appliance asks of the operating system."""

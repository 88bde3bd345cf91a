"""Keys, login and what the appliance tells of itself."""

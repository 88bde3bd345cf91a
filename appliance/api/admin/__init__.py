"""Keys, login, and the state of the appliance."""

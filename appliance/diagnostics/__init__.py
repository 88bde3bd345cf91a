"""The checks of `appliance doctor`."""

"""The Model Context Protocol: this service as tools of agents."""

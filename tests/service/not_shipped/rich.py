"""structlog imports it for a sixth of the time in which the service starts."""

raise ImportError

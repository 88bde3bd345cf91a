"""The HTTP server, on waitress, and WebSockets; no routes, and no JSON but that of errors."""

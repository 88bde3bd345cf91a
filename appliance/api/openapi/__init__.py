"""`/openapi.json`, made of what stands beside each route, and the same for people."""

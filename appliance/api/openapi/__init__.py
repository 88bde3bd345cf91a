"""`/openapi.json`, made from what is declared beside each route, and the same for people."""

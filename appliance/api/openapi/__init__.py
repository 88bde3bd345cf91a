"""`/openapi.json`, generated from the declarations beside each route, and `/docs`."""

"""The API, on Falcon: parse, check, respond. JSON stays here; `app` is the route table."""

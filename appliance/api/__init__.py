"""The API, by Falcon: parse, check, answer. JSON stays in here; `app` is the route table."""

"""The API: parse, guard, answer. HTTP and JSON stay in here."""

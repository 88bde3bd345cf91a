"""HTTP itself, by waitress, and what it carries; no route, and no JSON but that of errors."""

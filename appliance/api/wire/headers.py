"""Headers of answers that are not HTTP's own."""

import falcon

WARNING = "X-Appliance-Warning"
DROPPED_MESSAGES = "X-Appliance-Dropped-Messages"


def warn(resp: falcon.Response, *warnings: str | None) -> None:
    """Warn in a header of what was not done as requested; None and empty text are no warning."""
    given = "; ".join(filter(None, warnings))
    if given:
        resp.set_header(WARNING, given.encode("ascii", "replace").decode())

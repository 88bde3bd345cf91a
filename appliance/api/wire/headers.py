"""Response headers of our own."""

import falcon

WARNING = "X-Appliance-Warning"
DROPPED_MESSAGES = "X-Appliance-Dropped-Messages"


def warn(resp: falcon.Response, *warnings: str | None) -> None:
    """Report in a header what was not done as requested; None and empty texts are skipped."""
    given = "; ".join(filter(None, warnings))
    if given:
        resp.set_header(WARNING, given.encode("ascii", "replace").decode())

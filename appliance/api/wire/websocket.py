"""The part of opening a WebSocket that Falcon handles."""

from collections.abc import Callable, Mapping

import falcon

from appliance.http.websocket import NotAccepted, WebSocket, WebSocketHandler, handshake


def accept(
    req: falcon.Request,
    resp: falcon.Response,
    handlers: Mapping[str | None, Callable[[], WebSocketHandler]],
) -> None:
    """Answer an opening handshake: the connection becomes a WebSocket once the app returns.

    Args:
        req: the request that asks for it.
        resp: gets the status; the headers are the handshake's own.
        handlers: makes the handler, by subprotocol; None: of a client that offers none of them.

    Raises:
        falcon.HTTPError: it is no handshake that can be accepted.
    """
    upgrade = req.env.get("appliance.upgrade")
    if upgrade is None or req.method != "GET":
        raise falcon.HTTPError(
            falcon.HTTP_426, description="this address speaks WebSocket, and no plain HTTP"
        )
    try:
        subprotocol, headers = handshake(req.relative_uri, req.headers, handlers.keys())
    except NotAccepted as error:
        raise falcon.HTTPBadRequest(description=str(error)) from error
    resp.status = falcon.HTTP_101
    upgrade(WebSocket(handlers[subprotocol]()), headers)

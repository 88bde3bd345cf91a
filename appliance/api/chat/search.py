"""Search over all chats."""

import falcon

from appliance.api.chat.schemas import SearchQuery
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import decode_query
from appliance.store.search import Search, SearchPage

operation = Operations("Sessions")


class ChatSearch:
    """`/api/search`"""

    def __init__(self, search: Search) -> None:
        self._search = search

    @operation(query=SearchQuery, gives=SearchPage)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Titles and messages that contain every word, the newest messages first."""
        query = decode_query(req, SearchQuery)
        resp.media = self._search.find(query.q, query.limit, query.offset)

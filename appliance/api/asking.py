"""Turns, as HTTP and WebSocket ask for them."""

from appliance.api.schemas import TurnIn
from appliance.chat.live import Follower
from appliance.chat.turn import TurnRequest, Turns
from appliance.engine.pool import Pool

FIRST_WORD_SECONDS = 10.0
"""How long a status line waits for the engine's first word before the stream begins without it; a
model that is still loading takes longer."""


class Asking:
    """Makes turns of what requests contain."""

    def __init__(self, turns: Turns, pool: Pool, max_response_tokens: int) -> None:
        """`max_response_tokens`: see `[limits]`."""
        self._turns = turns
        self._pool = pool
        self._max_tokens = max_response_tokens

    def turn(self, session_id: str, body: TurnIn) -> Follower:
        """Begin a turn.

        Raises:
            ApplianceError: see `Turns.begin`.
        """
        request = TurnRequest(
            content=body.content,
            parent_id=body.parent_id,
            system_prompt=body.system_prompt,
            sampling=body.params(self._max_tokens),
        )
        model = self._pool.find(body.model)
        return self._turns.begin(session_id, model.id, model.submit, request)

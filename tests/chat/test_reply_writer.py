"""The thread that stores replies."""

import threading
import time
from unittest.mock import Mock

from appliance.chat.reply_writer import STORE_INTERVAL, ReplyWriter
from appliance.store.sessions import Message
from appliance.store.sessions import Sessions as Store


def message(id: str) -> Message:
    return Mock(spec=Message, id=id, session_id=f"of {id}", content="", reasoning="")


def test_growing_replies_are_stored_while_others_end_all_the_time() -> None:
    grown = threading.Event()
    store = Mock(spec=Store)
    store.grow_replies.side_effect = lambda _said: grown.set()
    replies = ReplyWriter(store)
    replies.begin(message("question"), message("growing"))
    ending = threading.Event()

    def end_another(live: object) -> bool:
        """Takes its time, and by then the next one has ended as well."""
        time.sleep(0.01)
        if not ending.is_set():
            replies._ended.put(Mock())
        return True

    replies._finish = end_another  # type: ignore[method-assign]
    replies._ended.put(Mock())
    replies.start()
    try:
        assert grown.wait(20 * STORE_INTERVAL)
    finally:
        ending.set()
        replies.close()

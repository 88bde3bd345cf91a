"""Processes every event of a response before its client, and stores the response before the client
gets the last event: a response that a client knows to be complete can be continued."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from appliance.api.responses.builder import ResponseBuilder
from appliance.api.responses.items import Item
from appliance.api.responses.schemas import ResponseObject
from appliance.engine.protocol import Accepted, EventSink, SequenceEvent, Terminal
from appliance.errors import StoreError
from appliance.store.callers.responses import ResponseBook, StoredResponse

log = logging.getLogger(__name__)


class Recorder:
    """One response."""

    def __init__(self, owner: str, items: list[Item], builder: ResponseBuilder) -> None:
        """
        Args:
            owner: whose it is.
            items: what came with the request.
            builder: of its own.
        """
        self.owner = owner
        self.items = items
        self._builder = builder
        self._begun = False
        self.cancel: Callable[[], None] = lambda: None
        """Ends it."""
        self.deleted = False

    @property
    def response(self) -> ResponseObject:
        """As far as it is."""
        return self._builder.response

    @property
    def begun(self) -> bool:
        """Its prompt was accepted: a refusal is not kept."""
        return self._begun

    def see(self, event: SequenceEvent) -> None:
        """The next event."""
        self._begun = self._begun or isinstance(event, Accepted)
        self._builder.add(event)

    def not_stored(self) -> None:
        """It could not be kept."""
        self._builder.not_stored()


class Recorders:
    """All responses that are being generated. Thread-safe."""

    def __init__(self, book: ResponseBook) -> None:
        self._book = book
        self._live: dict[str, Recorder] = {}
        self._lock = threading.Lock()
        self._storing = threading.Lock()
        """Held while one is stored or deleted: what is deleted is not stored again."""
        # The engine's thread does not wait for the disk.
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="responses")

    def follow(self, recorder: Recorder) -> Callable[[EventSink], EventSink]:
        """What goes between the engine and a client's sink."""
        id = recorder.response.id

        def through(sink: EventSink) -> EventSink:
            if recorder.response.store:
                with self._lock:
                    self._live[id] = recorder

            def see(event: SequenceEvent) -> None:
                recorder.see(event)
                if not isinstance(event, Terminal) or not recorder.response.store:
                    sink(event)
                elif recorder.begun:
                    self._writer.submit(self._keep, recorder, sink, event)
                else:
                    self.forget(recorder)
                    sink(event)

            return see

        return through

    def find(self, owner: str, id: str) -> Recorder | None:
        """A response of `owner` that is being generated."""
        with self._lock:
            found = self._live.get(id)
        return found if found and found.owner == owner else None

    def forget(self, recorder: Recorder) -> None:
        """It was refused, and there will be no event."""
        with self._lock:
            self._live.pop(recorder.response.id, None)

    def delete(self, owner: str, id: str) -> bool:
        """End a response, and delete what is stored of it; whether there was one.

        Raises:
            StoreError, StoreFull: the database failed.
        """
        live = self.find(owner, id)
        with self._storing:
            if live:
                live.deleted = True
            found = self._book.delete(owner, id)
        if live:
            live.cancel()
        return found or live is not None

    def keep(self, recorder: Recorder) -> None:
        """Store a response as far as it is.

        Raises:
            StoreError, StoreFull: the database failed.
        """
        response = recorder.response
        stored = StoredResponse(
            id=response.id,
            previous_id=response.previous_response_id,
            input=msgspec.json.encode(recorder.items),
            response=msgspec.json.encode(response),
        )
        self._book.keep(recorder.owner, stored)

    def _keep(self, recorder: Recorder, sink: EventSink, event: SequenceEvent) -> None:
        try:
            with self._storing:
                if not recorder.deleted:
                    self.keep(recorder)
        except StoreError as ex:
            log.error("the response %s is not stored: %s", recorder.response.id, ex)
            recorder.not_stored()
        finally:
            self.forget(recorder)
            sink(event)

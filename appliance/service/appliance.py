"""The composition root: builds every part, starts them in order, stops them in reverse."""

import json
import logging
import os
import signal
import sys
import threading
import time
from types import FrameType

import msgspec

from appliance import __version__
from appliance.api.app import build
from appliance.api.dialects.openai.batches.runner import BatchRunner
from appliance.api.dialects.responses.recorders import Recorders
from appliance.api.middleware.auth import Guard
from appliance.chat.attachments.reader import FileReader
from appliance.chat.attachments.uploads import AttachmentUploads
from appliance.chat.cleanup import ChatCleanup, once
from appliance.chat.reply_writer import ReplyWriter
from appliance.chat.turns import Turns
from appliance.client import discovery
from appliance.config import paths
from appliance.config.environment import service_manager
from appliance.config.schema import Config
from appliance.engine.kv_files import forget_session, forget_stateless, keep_sessions
from appliance.engine.local.prestart import PrestartedWorker
from appliance.engine.serving.pool import Pool
from appliance.errors import ModelNotFound
from appliance.http.server import HttpServer, ServerLimits
from appliance.http.uploads import UploadLimits
from appliance.metrics import collectors
from appliance.metrics.dashboard import Dashboard
from appliance.metrics.registry import Metrics
from appliance.service import auth, model_library, model_specs, other_page, variants
from appliance.service.autotune import Autotuner
from appliance.service.device_verification import DeviceVerifier
from appliance.service.systemd import ModelState, NotifySocket, SystemdNotifier
from appliance.store.callers.attachments import AttachmentBook
from appliance.store.callers.batches import BatchBook
from appliance.store.callers.derived_models import DerivedModels
from appliance.store.callers.drafts import DraftBook
from appliance.store.callers.folders import FolderBook
from appliance.store.callers.preferences import PreferenceBook
from appliance.store.callers.presets import PresetBook
from appliance.store.callers.responses import ResponseBook
from appliance.store.copies import kept
from appliance.store.copies.upgrade import open_upgraded, went_well
from appliance.store.import_export import ChatImportExport
from appliance.store.messages import MessageChanges
from appliance.store.search import Search
from appliance.store.sessions import Sessions
from appliance.store.settings import DefaultProfile
from appliance.store.upkeep.age_clock import AgeClock
from appliance.store.upkeep.expiry import Expiry
from appliance.store.upkeep.maintenance import Maintenance, describe_loss
from appliance.store.upkeep.notices import Notices
from appliance.store.upkeep.retention import Retention
from appliance.system.memory import memory
from appliance.system.process_setup import allow_open_files

log = logging.getLogger(__name__)

SPARE_THREADS = 8
"""Request threads beyond those that wait for a reply that is not streamed."""
OTHER_FILES = 44
"""Open files that the database, the log, a few workers and what is read at the moment need."""
LEAST_CONNECTIONS = 8
WINDOW_SECONDS = 3.0
"""After which models load, whether the window reports that it is drawn or not."""


class Appliance:
    """All parts of one running appliance."""

    def __init__(
        self, config: Config, *, warm: bool = True, prestarted: PrestartedWorker | None = None
    ) -> None:
        """Opens the database and the port; loads nothing yet.

        Args:
            config: of everything.
            warm: load at the start what the configuration wants warm.
            prestarted: a worker, for the first configured model that is loaded.

        Raises:
            ApplianceError: it cannot run like this; the message says why.
        """
        self._grace = config.server.shutdown_grace_seconds
        self._deadline = 0.0
        self._cold = threading.Lock()
        """Taken for good by the first who warms up."""
        self._data = paths.data_dir(config)
        self._folder_lock = discovery.DataFolderLock(self._data)
        database_file = paths.database_file(config)
        self._database = open_upgraded(database_file, __version__)
        self._notices = Notices(self._database)
        if lost := self._database.lost():
            self._notices.add("changes_lost", describe_loss(lost))
        sessions = Sessions(self._database, max_sessions=config.limits.max_sessions)
        interrupted = sessions.interrupt_streaming()
        if interrupted:
            log.warning("%d replies were cut short by the last end of the appliance", interrupted)
        access = auth.build(config)
        guard = Guard(access.origins, access.authenticator, access.rates)
        self._keys, self._logins, self._auth = access.keys, access.logins, access.auth
        forget_stateless(paths.kv_dir())
        metrics = Metrics(tracing=config.observability.enable_tracing)
        profile = DefaultProfile(self._database)
        self._pool = Pool(
            [
                msgspec.structs.replace(s, prewarm=s.prewarm and warm)
                for s in model_specs.specs(config, prestarted)
            ],
            free_memory=lambda: memory().available,
            keep_alive_seconds=config.models.keep_alive_seconds,
            max_loaded=config.models.max_loaded,
            max_waiting=config.engine.max_waiting,
            observer=metrics.watch,
            common_prompt=lambda: profile.get().system_prompt,
        )
        stock = model_library.library(config)
        self._index, self._downloads = stock.index, stock.downloads
        model_library.serve_found_models(stock, self._pool, config)
        model_library.name_models(self._pool, config)
        self._autotuner = Autotuner(config, self._pool)
        self._device_verifier = DeviceVerifier(self._pool)
        self._live = ReplyWriter(sessions, self._database.checkpoint)
        retention = Retention(self._database)
        responses = ResponseBook(self._database)
        expiry = Expiry(self._database, config.limits.session_ttl_seconds)
        self._responses = Recorders(responses, self._pool)
        batches = BatchBook(self._database)
        self._batches = BatchRunner(batches, threads=config.engine.n_seq_max)
        attachments = AttachmentBook(self._database)
        self._cleanup = ChatCleanup(
            retention,
            AgeClock(self._database),
            self._forget,
            undo_seconds=config.data.undo_seconds,
            ttl_seconds=lambda: expiry.ttl_seconds,
            on_jump=lambda message: self._notices.add("clock_jumped", message),
            also=[
                Maintenance(self._database).run,
                lambda age: kept.expire(self._database, age),
                responses.expire,
                batches.expire,
                once(sessions.forget_changes),
                attachments.expire,
                once(lambda: keep_sessions(paths.kv_dir(), retention.ids())),
            ],
        )
        expiry.on_confirm = self._cleanup.wake
        other_page.report(config)
        model_specs.report(config)
        turns = Turns(
            sessions,
            self._live,
            max_prompt_length=config.limits.max_prompt_length,
            on_delete=self._cleanup.wake,
            text_of=attachments.sent_text,
        )
        app = build(
            pool=self._pool,
            sessions=sessions,
            search=Search(self._database),
            chats=ChatImportExport(self._database, config.limits.max_sessions),
            profile=profile,
            preferences=PreferenceBook(self._database),
            folders=FolderBook(self._database),
            drafts=DraftBook(self._database),
            retention=retention,
            cleanup=self._cleanup,
            presets=PresetBook(self._database),
            responses=self._responses,
            batches=self._batches,
            derived=DerivedModels(self._database),
            turns=turns,
            changes=MessageChanges(self._database, self._cleanup.wake),
            uploads=AttachmentUploads(attachments, FileReader(paths.file_reader_command())),
            library=stock,
            guard=guard,
            keys=access.keys,
            logins=access.logins,
            metrics=metrics,
            dashboard=Dashboard(metrics.throughput, self._pool.models, __version__),
            refused_variants=variants.refused,
            storage=lambda: self._notices.status(retention.expired, expiry.status),
            expiry=expiry,
            config=config,
            ui=paths.ui_dir(config),
            version=__version__,
        )
        # A queue takes up to twice what there is room for, so that none fills it up for others.
        threads = 2 * (config.engine.n_seq_max + config.engine.max_waiting) + SPARE_THREADS
        self._server = HttpServer(
            app,
            [(config.server.host, config.server.port)],
            _limits(threads, config.server.shutdown_grace_seconds),
            admit=guard.refused,
            uploads=UploadLimits(folder=self._data, allow=guard.may_upload),
        )
        self._measure(metrics, sessions)
        self._keys.on_revoke(self._server.cut)
        token = self._logins.launch_token if self._auth else ""
        here = discovery.RunningService(self.address, os.getpid(), __version__, token)
        try:
            discovery.publish(self._data, here)
        except OSError as ex:
            log.warning("other commands will not find this service: %s", ex)
        self._notifier = SystemdNotifier(
            NotifySocket(service_manager()),
            address=self.address,
            model=self._model_state,
            read_database=self._read_database,
            on_ready=lambda: went_well(database_file),
        )

    @property
    def address(self) -> str:
        """Where the page is."""
        host, port = self._server.addresses[0]
        if host in ("0.0.0.0", "::"):  # noqa: S104 - read here, not bound
            host = "127.0.0.1"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def login_address(self) -> str | None:
        """Where one browser gets in without a key, once; None: no key is needed."""
        return f"{self.address}/?token={self._logins.ticket()}" if self._auth else None

    def run(self, *, warm_up: bool = True) -> None:
        """Serve until `stop`; returns when everything is stored and gone.

        `warm_up`: at once, not when it is called.
        """
        self._live.start()
        self._logins.start()
        self._cleanup.start()
        if warm_up:
            self.warm_up()
        self._responses.start()
        self._batches.start()
        self._downloads.start()
        threading.Thread(target=self._index.refresh, name="model index", daemon=True).start()
        self._autotuner.start()
        self._device_verifier.start()
        self._notifier.start()
        # After this, the address no longer refers to whatever listens on the port.
        self._server.serve(lambda: discovery.unpublish(self._data, os.getpid()))
        # Replies without a follower are completed as well.
        while self._live.busy and time.monotonic() < self._deadline:
            time.sleep(0.05)
        self._downloads.close()
        self._cleanup.close()
        self._autotuner.close()
        self._device_verifier.close()
        self._batches.close()
        self._pool.close()
        self._live.close()
        self._responses.close()
        self._keys.close()
        self._logins.close()
        self._database.close()
        self._folder_lock.release()
        log.info("stopped")

    def warm_up(self) -> None:
        """From any thread: begin to load what is to be warm, if that has not begun."""
        if self._cold.acquire(blocking=False):
            self._pool.start()

    def _measure(self, metrics: Metrics, sessions: Sessions) -> None:
        """Metrics of what has numbers of its own."""
        server = self._server
        metrics.add(collectors.BuildInfoCollector(__version__))
        metrics.add(collectors.ModelsCollector(self._pool.models))
        for name, about, value in (
            ("appliance_sessions", "Stored chats.", sessions.count),
            ("appliance_connections", "Open connections.", lambda: server.connections),
            ("appliance_streams", "Replies being streamed.", lambda: server.streams),
        ):
            metrics.add(collectors.GaugeCollector(name, about, value))

    def _model_state(self) -> ModelState:
        try:
            model = self._pool.find(None)
        except ModelNotFound as ex:
            return ModelState("no model", "failed", ex.message)
        state = model.state
        return ModelState(model.name, state.word, state.trouble or state.detail or "")

    def _read_database(self) -> None:
        with self._database.read() as connection:
            connection.execute("SELECT 1 FROM sqlite_schema").fetchall()

    def _forget(self, session: str) -> None:
        """A session was purged: neither workers nor files keep anything of it."""
        self._pool.forget(session)
        forget_session(paths.kv_dir(), session)

    def stop(self) -> None:
        """From any thread or a signal handler: finish what runs, take nothing new."""
        self._deadline = time.monotonic() + self._grace
        self._notifier.stop()
        self._server.drain()

    def stop_now(self) -> None:
        """Like `stop`, without waiting for anything."""
        self._deadline = 0.0
        self._server.stop_now()


def _limits(threads: int, grace_seconds: float) -> ServerLimits:
    """With as many connections as there may be open files beside those that all else needs."""
    limits = ServerLimits(threads=threads, shutdown_grace_seconds=grace_seconds)
    room = max(LEAST_CONNECTIONS, allow_open_files() - OTHER_FILES)
    if room >= limits.connections:
        return limits
    log.warning("so few files may be open that %d connections are allowed at a time", room)
    return msgspec.structs.replace(
        limits,
        connections=room,
        connections_kept=room // 4,
        connections_per_address=min(limits.connections_per_address, room // 2),
    )


def run(
    config: Config,
    *,
    open_browser: bool,
    until_eof: bool = False,
    as_json: bool = False,
    prestarted: PrestartedWorker | None = None,
) -> int:
    """Run the appliance until it is to stop. Returns the exit code.

    Args:
        config: everything it needs to know.
        open_browser: on the page.
        until_eof: a window is its parent; see `_follow_parent`.
        as_json: say where it is in a line of JSON.
        prestarted: see `Appliance`.

    Raises:
        ApplianceError: it could not start.
    """
    appliance = Appliance(config, prestarted=prestarted)
    signals = 0

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal signals
        signals += 1
        if signals == 1:
            appliance.stop()
        else:
            appliance.stop_now()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    if as_json:
        where = {"url": appliance.address, "pid": os.getpid(), "version": __version__}
        print(json.dumps(where), flush=True)
    else:
        print(f"The appliance is at {appliance.address}", flush=True)
    if open_browser:
        import webbrowser

        page = appliance.login_address or appliance.address
        threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()
    elif not as_json and sys.stdout.isatty() and (once := appliance.login_address):
        # Never into a log.
        print(f"Open it here, once and within five minutes: {once}", flush=True)
    if until_eof:
        threading.Thread(target=_follow_parent, args=(appliance,), daemon=True).start()
        waiting = threading.Timer(WINDOW_SECONDS, appliance.warm_up)
        waiting.daemon = True
        waiting.start()
    appliance.run(warm_up=not until_eof)
    return 0


def _follow_parent(appliance: Appliance) -> None:
    """On stdin, whatever it says means that its window is drawn, and its end that we are to stop.

    A model that loads wants all cores, and until then the window has need of them.
    """
    # The bare descriptor: a thread that waits inside `sys.stdin` holds up the end of the process.
    while os.read(0, 4096):
        appliance.warm_up()
    appliance.stop()

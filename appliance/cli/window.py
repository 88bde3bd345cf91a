"""`appliance` without a command: the window, or the service if there is no display."""

import signal
import sys
from pathlib import Path
from types import FrameType

import click

from appliance.cli import options, service
from appliance.config.environment import forget_frozen_libraries, has_display, own_environment
from appliance.config.schema import Config


def open_window(context: click.Context, config_file: Path | None, ready_seconds: float) -> None:
    """Open the window on the running service, or start one; without a screen: serve."""
    if not (sys.platform in {"darwin", "win32"} or has_display()):
        context.invoke(service.serve, config_file=config_file)
    config = options.configuration(config_file)
    from appliance.config import logging, paths
    from appliance.desktop.launcher import Launcher, LauncherSettings

    logging.configure_logging(config.server.log_level)
    named = ["--config", str(config_file.absolute())] if config_file else []
    launcher = Launcher(
        LauncherSettings(
            folder=paths.data_dir(config),
            storage=paths.cache_dir() / "window",
            usual_url=_usual_url(config),
            serve_command=[*paths.serve_command(), *named],
            window_command=paths.window_command(),
            environment=own_environment(),
            icon=str(paths.icon() or ""),
            ready_seconds=ready_seconds,
        ),
        print_line=options.say,
    )

    forget_frozen_libraries()  # before a browser is opened

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        launcher.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    sys.exit(launcher.run())


def _usual_url(config: Config) -> str:
    """Where a service listens that another user or the system started with these settings."""
    host = config.server.host
    if host in ("0.0.0.0", "::", "localhost"):  # noqa: S104 - read here, not bound
        host = "127.0.0.1"
    return (
        f"http://[{host}]:{config.server.port}"
        if ":" in host
        else (f"http://{host}:{config.server.port}")
    )

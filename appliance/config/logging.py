"""Logging, set up once at the start: one event is one line.

Everything comes out the same way, ours and the libraries': coloured text on a terminal, one JSON
object a line otherwise. What is bound with `structlog.contextvars` (`request_id` above all) is part
of every event of that thread. Values may hold what a stranger typed, so control characters are
written as escapes: no text can fake a second event or move a terminal's cursor.
"""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from appliance.config import terminal
from appliance.config.schema import LogLevel


def configure_logging(level: LogLevel, *, stream: TextIO | None = None) -> None:
    """Sends every event from `level` on to `stream`, stderr if None. Replaces an earlier set-up."""
    stream = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Loggers of modules are made before the set-up; a cached one would keep the old one.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_for_people() if stream.isatty() else _for_machines()),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(capture=True)


def _for_people() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        _escape_control,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]


def _for_machines() -> list[Processor]:
    # Local variables may be chats and keys.
    exceptions = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [
        structlog.processors.ExceptionRenderer(exceptions),
        structlog.processors.JSONRenderer(),
    ]


def _escape_control(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A traceback keeps its lines, each set in by a bar that no event begins with."""
    for key, value in event.items():
        if key == "exception":
            lines = (terminal.line(line) for line in str(value).split("\n"))
            event[key] = "\n".join(f"  | {line}" for line in lines)
        elif isinstance(value, str):
            event[key] = terminal.line(value)
    return event

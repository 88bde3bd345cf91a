"""Logging: one event a line, as text or JSON, and no forged lines."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog

from appliance.config.logging import configure_logging


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_machines_get_one_json_object_a_line() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)

    structlog.get_logger("appliance.test").info("model ready", model="smol", seconds=1.5)

    (event,) = events(stream)
    assert event["event"] == "model ready"
    assert event["level"] == "info"
    assert event["logger"] == "appliance.test"
    assert (event["model"], event["seconds"]) == ("smol", 1.5)
    assert datetime.fromisoformat(event["timestamp"]).utcoffset() == timedelta(0)


def test_libraries_come_out_the_same_way() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)

    logging.getLogger("waitress").warning("queue depth is %d", 3, extra={"depth": 3})

    (event,) = events(stream)
    assert event["event"] == "queue depth is 3"
    assert (event["logger"], event["level"], event["depth"]) == ("waitress", "warning", 3)
    assert "timestamp" in event


def test_warnings_are_logged() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("soon gone", DeprecationWarning, stacklevel=1)

    assert "soon gone" in events(stream)[0]["event"]


def test_request_id_is_part_of_every_event() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)

    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        structlog.get_logger().info("ours")
        logging.getLogger("waitress").info("theirs")
    structlog.get_logger().info("after")

    assert [event.get("request_id") for event in events(stream)] == ["r-1", "r-1", None]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["machine", "terminal"])
def test_level_holds_back(stream: io.StringIO) -> None:
    configure_logging("warning", stream=stream)

    structlog.get_logger("appliance").info("quiet")
    logging.getLogger("waitress").info("quiet")
    structlog.get_logger("appliance").warning("loud")

    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


def test_terminal_gets_a_line_for_people() -> None:
    stream = Terminal()
    configure_logging("info", stream=stream)

    structlog.get_logger("appliance").info("model ready", model="smol")

    line = stream.getvalue()
    assert "model ready" in line
    assert "smol" in line
    assert not line.startswith("{")


HOSTILE = "a\nfake event\r\x1b[2Jb\x9b1m\x00\u2028c\u202ed"


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["machine", "terminal"])
def test_what_a_stranger_typed_cannot_fake_an_event(stream: io.StringIO) -> None:
    configure_logging("info", stream=stream)

    structlog.get_logger().info(HOSTILE, path=HOSTILE, several=[HOSTILE], pairs={"x": HOSTILE})
    logging.getLogger("waitress").info("asked for %s", HOSTILE)

    written = stream.getvalue()
    assert len(written.splitlines()) == 2
    assert "\x1b[2J" not in written
    assert not set("\r\x00\x9b\u2028\u202e") & set(written)


def test_traceback_is_part_of_its_json_line() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)

    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("appliance").exception("went wrong")

    (event,) = events(stream)
    assert event["event"] == "went wrong"
    assert event["exception"][0]["exc_type"] == "ValueError"


def test_traceback_on_a_terminal_is_set_in() -> None:
    stream = Terminal()
    configure_logging("info", stream=stream)

    try:
        raise ValueError(HOSTILE)
    except ValueError:
        structlog.get_logger().exception("went wrong")

    first, *traceback = stream.getvalue().splitlines()
    assert "went wrong" in first
    assert any("ValueError" in line for line in traceback)
    assert all(line.startswith("  | ") for line in traceback)


def test_local_variables_stay_out_of_the_log() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)
    password = "hunter" + "2"

    try:
        raise ValueError(len(password))
    except ValueError:
        structlog.get_logger().exception("went wrong")

    assert "hunter2" not in stream.getvalue()


def test_setting_up_again_replaces() -> None:
    old, new = io.StringIO(), io.StringIO()
    configure_logging("info", stream=old)
    configure_logging("info", stream=new)

    logging.getLogger("appliance").info("once")

    assert old.getvalue() == ""
    assert len(events(new)) == 1

"""Files as text, read in a process of their own.

Libraries for documents loop, take gigabytes and crash on what people send them. What they take of a
processor is measured, not how long they wait for one.
"""

import logging
import threading
from collections.abc import Sequence

import msgspec

from appliance.chat.attachments.protocol import (
    PATIENCE,
    TIME_LIMIT,
    FileAnswer,
    ReadFile,
    ReadText,
    Unreadable,
)
from appliance.errors import RequestError, Unavailable
from appliance.system.child_process import ChildProcess, ProcessAlarm
from appliance.system.framing import read_frame

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Files that are read at the same time."""
END_SECONDS = 1.0
"""From the end of a process's output to its own end."""
KILLED = -9
"""How a process ends that somebody kills: the system, when memory is short."""


class FileReader:
    """Any thread may read; others wait."""

    def __init__(self, command: Sequence[str], *, processor_seconds: float = TIME_LIMIT) -> None:
        """`command` starts the process."""
        self._command = list(command)
        self._limit = processor_seconds
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def read(self, name: str, data: bytes) -> ReadText:
        """What is in a file.

        Args:
            name: of the file, for messages.
            data: its content.

        Raises:
            RequestError: it can't be read, or takes too much; the message names it.
            Unavailable: the machine is too busy for it.
        """
        with self._turns:
            answer = self._ask(name, data)
        if isinstance(answer, Unreadable):
            raise RequestError(answer.message, param="file")
        return answer

    def _ask(self, name: str, data: bytes) -> FileAnswer:
        process = ChildProcess(self._command)
        alarm = ProcessAlarm(process, self._limit, PATIENCE)
        alarm.start()
        try:
            process.send(msgspec.json.encode(ReadFile(name, len(data))) + b"\n" + data)
            body = read_frame(process.output)
            if body is not None:
                answer: FileAnswer = msgspec.msgpack.decode(body, type=FileAnswer)
                return answer
        except (OSError, ValueError) as ex:
            log.warning("the process that reads a file failed: %r", ex)
        finally:
            alarm.end()
            code = process.wait(END_SECONDS)
            process.close()
        if alarm.why == "too costly":
            seconds = f"{self._limit:.0f} s of a processor"
            return Unreadable(f"{name} takes more than {seconds} to read, and was given up.")
        if alarm.why == "starved" or code == KILLED:
            raise Unavailable(f"the machine is too busy to read {name}")
        log.warning("the process that read a file ended with %s", code)
        return Unreadable(f"{name} is damaged: reading it failed.")

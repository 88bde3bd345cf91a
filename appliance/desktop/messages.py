"""Messages between launcher and window: a line of JSON each."""

import msgspec


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """To the window, first of all: be there, with nothing in it yet."""

    state_file: str
    storage_folder: str
    """Where the engine keeps what a browser keeps."""
    icon: str
    """A picture's path, or empty."""


class Show(msgspec.Struct, frozen=True, tag=True):
    """To the window, once there is a service: what to show and how."""

    url: str
    token: str
    """Empty: none is needed."""
    asks_before_closing: bool
    """Closing the window ends the service, and so a reply that is being written."""


class ComeForward(msgspec.Struct, frozen=True, tag=True):
    """To the window: somebody started the appliance again."""


class PageDrawn(msgspec.Struct, frozen=True, tag=True):
    """From the window: the page is drawn."""


class WindowFailed(msgspec.Struct, frozen=True, tag=True):
    """From the window: this engine shows nothing, and why."""

    why: str


ToWindow = Prepare | Show | ComeForward
FromWindow = PageDrawn | WindowFailed
_TO_WINDOW: msgspec.json.Decoder[ToWindow] = msgspec.json.Decoder(ToWindow)
_FROM_WINDOW: msgspec.json.Decoder[FromWindow] = msgspec.json.Decoder(FromWindow)


def line(message: ToWindow | FromWindow) -> bytes:
    """The message as it is sent."""
    return msgspec.json.encode(message) + b"\n"


def to_window(sent: bytes) -> ToWindow:
    """The message that a window was sent; DecodeError if it is none."""
    return _TO_WINDOW.decode(sent)


def from_window(sent: bytes) -> FromWindow | None:
    """The message of a window; None for whatever else its libraries print."""
    try:
        return _FROM_WINDOW.decode(sent)
    except msgspec.DecodeError:
        return None

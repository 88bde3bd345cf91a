"""Numbers formatted for people."""

from typing import Literal


def format_bytes(size: float, unit: Literal["", "MB", "GB"] = "") -> str:
    """Such as `420 MB` and `1.3 GB`; with a `unit` always in that one, such as `0.4 GB`."""
    if unit:
        return f"{size / (1e9 if unit == 'GB' else 1e6):.1f} {unit}"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"

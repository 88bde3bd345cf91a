"""The fixtures of tests/engine, for engines with a worker."""

from tests.engine.conftest import _shared_engines, engine, make_fake

__all__ = ["_shared_engines", "engine", "make_fake"]

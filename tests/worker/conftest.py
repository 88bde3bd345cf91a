"""Engines with a worker, as the tests of engines have them."""

from tests.engine.conftest import _shared_engines, engine, make_fake

__all__ = ["_shared_engines", "engine", "make_fake"]

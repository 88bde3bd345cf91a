"""The appliance: local language models behind one window and one API."""

__version__ = "0.1.0"

"""The processes that find it out: native code is loaded here."""

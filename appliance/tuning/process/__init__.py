"""The child processes of tuning and verification: native code is loaded here."""

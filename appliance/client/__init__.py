"""The running service, as other programs of the same user find it and talk to it."""

"""The files on this machine, whoever put them there."""

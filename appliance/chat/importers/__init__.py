"""Chats from files of other programs, a module for each format; `docs/import.md` describes them."""

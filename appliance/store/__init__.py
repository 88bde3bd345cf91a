"""Persistence: one SQLite file, and the only folder that knows SQL.

`database` owns the connections, `migrations` the schema and its history, `sessions` the stored
chats, `ids` creates their ids. Errors leave this folder as those of `appliance.errors`; APSW's own
stay inside.
"""

"""Persistence: one SQLite file, and the only folder that knows SQL.

`database` owns the connections, `migrations` the schema and its history, `sessions` the stored
chats, `ids` how their names are made. Errors leave this room as those of `appliance.errors`; what
APSW raises stays inside.
"""

"""The API of the service that this one replaces: its bodies, its plain text, its chats."""

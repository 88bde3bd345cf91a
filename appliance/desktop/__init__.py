"""The window and what opens it. It gets an address and a token, and knows nothing of the engine.

Three processes: `launcher` (no window code, no model code) keeps the user's one instance, finds or
starts the service, and starts `window` processes, one engine after the other, until one shows the
page. They talk in lines of JSON over the window's stdin and stdout.
"""

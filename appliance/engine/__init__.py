"""Inference as the service sees it: requests, events, and two engines that serve them.

`local` has a worker process of ours for each model, `upstream` an OpenAI-compatible server. What
crosses to a worker is in `types` and `protocol`; nothing of `worker/` is imported here.
"""

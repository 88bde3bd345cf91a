"""Inference as the service sees it: what is asked, what comes back, and two engines that do it.

`local` has a worker process of ours for each model, `upstream` an OpenAI-compatible server. What
crosses to a worker is in `types` and `protocol`; nothing of `worker/` is imported here.
"""

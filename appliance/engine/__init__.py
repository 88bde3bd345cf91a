"""The engine: model workers, and what the appliance sees of them.

`client` and `protocol` run in the appliance process; `worker` and all it imports run in a worker
process, one per loaded model.
"""

"""Whether GPUs say what the processor says: they are compared before one computes for people.

`compare` has it done by a process of its own (`runners.llama_fidelity`), `results` keeps what came
of it, and a worker looks there before it loads a model.
"""

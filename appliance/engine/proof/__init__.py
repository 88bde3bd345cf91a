"""Nothing computes for people before it was seen to compute right on this machine.

llama.cpp has a backend for processors in many variants, one for each set of instructions, and says
itself which of them a processor can run. Whether they compute right was never seen: a compiler's
mistake, a hypervisor that hides half of an instruction set, a damaged file. Here each is tried on a
small model made of what the model in question is made of, and compared with the plainest one.
"""

"""How quick the engine is: what ``deepdream bench`` and ``tests/benchmarks`` measure.

Absolute times say more about the machine and its other users than about the code, so every measure here is a ratio of
runs that take turns in one process, and what is quoted are medians.
"""

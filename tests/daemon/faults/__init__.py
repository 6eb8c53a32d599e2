"""Fault injection: the real ``deepdream run`` in a process of its own, harmed on purpose and judged from outside."""

"""The worker: a process of its own for all that may crash, hang or take too much memory, and its proxy here."""

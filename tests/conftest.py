"""What holds for all tests: workers that run side by side compute with one thread each.

Two processes with a pool of threads for all cores each wait for one another, and take ten times as long.
"""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch when it is imported

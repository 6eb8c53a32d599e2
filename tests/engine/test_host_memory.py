"""Blocks are kept between passes and handed back when nothing is in flight."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

from deepdream_engine import host_memory

MIB = 2**20


@pytest.mark.skipif(host_memory._glibc() is None, reason="another C library")
def test_large_blocks_are_used_again_and_handed_back_at_rest() -> None:
    code = """
        import resource, sys, psutil
        from deepdream_engine.host_memory import hand_back, keep_blocks

        def faults(count):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(count):
                torch.ones(64 * 2**18)  # 64 MiB, which glibc would map anew each time
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        import torch
        plain = faults(8)
        keep_blocks()
        faults(16)  # the heap grows to what is needed
        kept = faults(8)
        held = psutil.Process().memory_info().rss
        hand_back()
        rest = psutil.Process().memory_info().rss
        print(plain, kept, held - rest)
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], check=True, capture_output=True, text=True)
    plain, kept, returned = map(int, done.stdout.split())
    assert kept < plain / 10
    assert returned > 32 * MIB

"""How tests wait: for what another process or thread does, and never for ever."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

# Waits end what hangs; a slow machine is no failure.
PATIENCE_SECONDS = 1200

Found = TypeVar("Found")


def wait_for(
    condition: Callable[[], Found],
    process: subprocess.Popen | None = None,
    *,
    seconds: float = PATIENCE_SECONDS,
) -> Found:
    """Wait until a condition gives something true, and return it.

    process: fails with what it printed when it ends before; its output is a pipe. seconds: fewer
    where what is waited for would come by itself in the end.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if process is not None:
            assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.01)
    return found

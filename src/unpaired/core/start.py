"""Start a module of this package, in a copy of a process that has loaded PyTorch, if there is one.

    python -m unpaired.core.start MODULE ARGUMENTS...

Loading PyTorch takes seconds of every job. A run of Snakemake on one machine therefore keeps a
process that has loaded it and nothing else (`start_server`), and jobs are copies of that. The
process that was started, which Snakemake and the kernel know, stays and stands for the copy:
signals pass through it, its exit code is the copy's, and if it is killed the copy ends too. Where
there is no such process, or it is one of other libraries, the module starts as usual.
"""

from __future__ import annotations

import array
import hashlib
import json
import os
import runpy
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

FORWARDED = [signal.SIGTERM, signal.SIGINT]
if sys.platform == "linux":
    FORWARDED += [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]
# Libraries read these when they are loaded, and never again.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
BEGUN = b"+"
_KILLED = 128 + signal.SIGKILL


def address() -> str:
    """Return where copies are asked for: relative, as no more than 107 bytes are allowed."""
    alike = [sys.prefix, sys.version, *(os.environ.get(name) for name in ("PYTHONPATH", *THREADS))]
    digest = hashlib.sha256(json.dumps(alike).encode()).hexdigest()
    return str(Path(".snakemake", f"start-{digest[:8]}.socket"))


def main() -> int:
    """Run the module that the command line names; return the exit code of its copy."""
    module, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        with socket.socket(socket.AF_UNIX) as server:
            if _ask_for_copy(server, module, arguments):
                return _stand_for_copy(server)
    sys.argv = sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


def _ask_for_copy(server: socket.socket, module: str, arguments: list[str]) -> bool:
    """Connect to the process that makes copies, and say whether one has begun."""
    asked = {
        "module": module,
        "arguments": arguments,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
    }
    content = json.dumps(asked).encode()  # Names of any bytes too: all that is odd is escaped.
    streams = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
    try:
        server.connect(address())
        server.sendmsg([len(content).to_bytes(8, "big")], streams)
        server.sendall(content)
        return server.recv(1) == BEGUN
    except OSError:
        return False


def _stand_for_copy(server: socket.socket) -> int:
    def forward(number: int, _frame: object) -> None:
        with suppress(OSError):  # The copy has just ended.
            server.sendall(bytes([number]))

    for number in FORWARDED:
        signal.signal(number, forward)
    code = server.recv(1)
    return code[0] if code else _KILLED


if __name__ == "__main__":
    sys.exit(main())

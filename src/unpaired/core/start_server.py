"""The process whose copies are jobs: it has loaded modules and does nothing itself.

    python -m unpaired.core.start_server MODULE...

It ends when its standard input does, which is a pipe of the run that it belongs to. See `start`,
which asks for copies.
"""

from __future__ import annotations

import array
import importlib
import json
import multiprocessing
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from unpaired.core.start import BEGUN, FORWARDED, THREADS, address

BACKLOG = 64
_STREAMS = 3


def start_server(modules: Sequence[str], threads: int) -> subprocess.Popen | None:
    """Start a process with ``modules`` for jobs of ``threads`` each; it ends with this one.

    None where a process that has loaded PyTorch cannot be copied safely, which is everywhere but on
    Linux: there jobs start as usual.
    """
    if sys.platform != "linux":
        return None
    return subprocess.Popen(
        [sys.executable, "-m", "unpaired.core.start_server", *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | dict.fromkeys(THREADS, str(threads)),
    )


def main(modules: Sequence[str]) -> None:
    """Load ``modules``, and copy this process whenever it is asked for, until the input ends.

    It can be asked from the beginning: to wait for it takes no longer than to load them oneself.
    """
    for number in FORWARDED:  # They are for the jobs.
        signal.signal(number, signal.SIG_IGN)
    path = Path(address())
    aside = path.with_suffix(f".{os.getpid()}")
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(str(aside))
        listener.listen(BACKLOG)
        os.replace(aside, path)  # In place of what a killed run left there.
        _load(modules)
        close = partial(_close, listener, path, selector)
        selector.register(sys.stdin, selectors.EVENT_READ, close)
        selector.register(listener, selectors.EVENT_READ, partial(_copy, listener, selector))
        while selector.get_map():
            for key, _ in selector.select():
                key.data()


def _load(modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    for module in modules:
        if module.startswith("unpaired."):  # A stage, which is to run as the main module.
            sys.modules.pop(module)


def _close(listener: socket.socket, path: Path, selector: selectors.BaseSelector) -> None:
    """Make no more copies; those that there are go on."""
    path.unlink(missing_ok=True)
    selector.unregister(listener)
    selector.unregister(sys.stdin)


def _copy(listener: socket.socket, selector: selectors.BaseSelector) -> None:
    connection, _ = listener.accept()
    forked = multiprocessing.get_context("fork")
    copy = forked.Process(target=_work, args=(connection, listener))
    copy.start()
    ended = partial(_report, copy, connection, selector)
    selector.register(copy.sentinel, selectors.EVENT_READ, ended)


def _report(
    copy: multiprocessing.process.BaseProcess,
    connection: socket.socket,
    selector: selectors.BaseSelector,
) -> None:
    selector.unregister(copy.sentinel)
    copy.join()
    code = copy.exitcode if copy.exitcode >= 0 else 128 - copy.exitcode
    with connection, suppress(OSError):
        connection.sendall(bytes([code]))


def _work(connection: socket.socket, listener: socket.socket) -> None:
    """Become the job that is asked for."""
    listener.close()
    for number in FORWARDED:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setpgid(0, 0)  # What is meant for the job comes through the process that stands for it.
    asked = _become(connection)
    connection.sendall(BEGUN)
    threading.Thread(target=_obey, args=(connection,), daemon=True).start()
    sys.argv = [asked["module"], *asked["arguments"]]
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)


def _become(connection: socket.socket) -> dict[str, Any]:
    """Take over streams, environment and folder of the process that asks; return what it asks."""
    room = socket.CMSG_SPACE(_STREAMS * array.array("i").itemsize)
    size, control, _, _ = connection.recvmsg(8, room)
    streams = array.array("i", control[0][2])
    with connection.makefile("rb") as file:
        asked = json.loads(file.read(int.from_bytes(size, "big")))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    return asked


def _obey(connection: socket.socket) -> None:
    """Pass on the signals that the process that asked got; end when it does."""
    while received := connection.recv(1):
        os.kill(os.getpid(), received[0])
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Work in a process of its own, which ends when it is told to, whatever it is doing."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from unpaired.core.errors import UnpairedError, one_line

SECONDS_BETWEEN_LOOKS = 1.0


class OutOfTime(UnpairedError):
    """The work was not done by its deadline."""


def in_own_process(
    function: Callable[..., Any], *arguments: Any, deadline: float = math.inf
) -> Any:
    """Call a function in a fresh process: its memory is its own, and so are its failures.

    What it prints is not shown. deadline: of `time.monotonic`; then the process is ended. It is
    also ended if this one is interrupted, or killed. Raises UnpairedError with what the function
    said when it failed, OutOfTime, and UnpairedError if the process was killed from outside.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(there, function, arguments))
    try:
        with _interrupts_held_back():
            process.start()
        there.close()
        while not here.poll(max(0.0, min(SECONDS_BETWEEN_LOOKS, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                raise OutOfTime("no time left")
        failure, result = here.recv()
    except (EOFError, ConnectionError):
        raise UnpairedError("its process was killed, as for want of memory") from None
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
        here.close()
    if failure:
        raise UnpairedError(failure)
    return result


def attempt(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[str, Any]:
    """Call a function; return why it failed, in one line and empty if it did not, and its result.

    An error travels as text, because not every one can be sent to another process.
    """
    try:
        return "", function(*arguments)
    except UnpairedError as error:
        return str(error), None
    except Exception as error:
        return one_line(f"{type(error).__name__}: {error}"), None


def _work(connection: Connection, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection.send(attempt(function, arguments))


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Start a process that Ctrl-C on the terminal does not reach: this one decides what ends.

    A process starts with the signals blocked that its parent blocks; one that comes meanwhile
    reaches the parent afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # To start it would take the block away.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt as Ctrl-C does, so that what is done can be kept."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

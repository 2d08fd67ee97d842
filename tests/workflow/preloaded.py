"""Runs of Snakemake as copies of one process that has loaded what takes seconds to load.

A run is the real one, in a process of its own, with the project's own package. Only libraries are
there already: Snakemake, and PyTorch for the process whose copies are jobs
(`unpaired.core.start_server`), which would load it for each run.
"""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

# Nothing of this project: what is tested has its own copy.
LIBRARIES = [
    "snakemake.cli",
    "snakemake.report",
    "smart_open",
    "torch._dynamo",
    "torchvision.models",
    "scipy.io",
    "scipy.ndimage",
    "h5py",
]
# Each run has its own, or libraries set them in the process of the tests.
_APART = ("PYTHONPATH", "PYTEST_", "KMP_", "TORCHINDUCTOR_")

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(LIBRARIES)


def _alike(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(_APART)}


# Libraries read theirs when they are loaded.
_ENVIRONMENT = _alike(os.environ)


def can_run(environment: Mapping[str, str]) -> bool:
    """Return whether a run with this environment may be a copy."""
    return sys.platform == "linux" and _alike(environment) == _ENVIRONMENT


def run(
    arguments: list[str], folder: Path, environment: dict[str, str], timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake with ``arguments`` in ``folder``."""
    with tempfile.TemporaryDirectory() as aside:
        streams = [Path(aside, name) for name in ("stdout", "stderr")]
        process = _context.Process(target=_work, args=(arguments, folder, environment, streams))
        process.start()
        process.join(timeout_seconds)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(arguments, timeout_seconds)
        output, errors = (path.read_text() for path in streams)
    return subprocess.CompletedProcess(arguments, process.exitcode, output, errors)


def _work(
    arguments: list[str], folder: Path, environment: dict[str, str], streams: list[Path]
) -> None:
    """Become the run."""
    for number, path in enumerate(streams, 1):
        _redirect(number, path)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    assert "unpaired" not in sys.modules
    sys.path[:0] = ["", *environment["PYTHONPATH"].split(os.pathsep)]
    gc.freeze()  # What the libraries are made of stays; to look through it takes half of the time.
    jobs = _Jobs()

    import snakemake.cli

    from unpaired.core import start_server

    jobs.usual = start_server.start_server
    start_server.start_server = jobs.start
    sys.argv = ["snakemake", *arguments]
    try:
        snakemake.cli.main(arguments)
    finally:
        atexit._run_exitfuncs()  # What ends a copy does not.


def _redirect(number: int, path: Path | str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, number)
    os.close(descriptor)


class _Jobs:
    """The process whose copies are jobs, made before the run has threads, if it is asked for."""

    usual = None

    def __init__(self) -> None:
        reader, self._writer = multiprocessing.Pipe(duplex=False)
        if os.fork() == 0:
            self._writer.close()
            _serve(reader)
        reader.close()

    def start(self, modules: list[str], threads: int) -> object:
        if str(threads) != _ENVIRONMENT["OMP_NUM_THREADS"]:
            return self.usual(modules, threads)
        self._writer.send((modules, threads))
        return self._writer


def _serve(reader: Connection) -> None:
    """Do what ``python -m unpaired.core.start_server`` does, and end with the run."""
    try:
        modules, threads = reader.recv()
    except EOFError:
        os._exit(0)
    os.dup2(reader.fileno(), 0)
    sys.stdin = os.fdopen(0)
    for number in (1, 2):
        _redirect(number, os.devnull)

    from unpaired.core import start, start_server

    os.environ.update(dict.fromkeys(start.THREADS, str(threads)))
    start_server.main(modules)
    os._exit(0)

"""Disturb the smoke table at random for a while; after each round it must be as if undisturbed.

    python -m tests.faults.soak --minutes 20

A round starts the table, does it harm (kills, edits, deletions, a full disk), and then asks for the
table until it is there: no run may need more than the same command again, nothing may be left to do
afterwards, and no half-written file may stay. The seed of a round is printed; ``--seed`` repeats
it.
A disk that can be full is a mount, which needs root; without, that harm is left out.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from tests.workflow.conftest import SMOKE, TABLE, Project, make_copy

RUNS_MAX = 3  # After a harm that outlives it (a worker alone) the next run may have to wait.
EDITED = "src/unpaired/systems/denoising/methods/n2n.py"
DISK_MIB = 400


class Soak:
    """A project that is disturbed, and the table of one that is not."""

    def __init__(self, project: Project, expected: str) -> None:
        self.project, self.expected = project, expected
        self.results = project.folder / "results"
        self.original = (project.folder / EDITED).read_text()
        self.done: Counter[str] = Counter()

    def round(self, seed: int) -> list[str]:
        """Do some harm at random and repair it by running again; return what was done."""
        choose = random.Random(seed)
        harms = choose.sample(self.harms(), choose.randint(1, 3))
        for harm in harms:
            harm(choose)
        names = [harm.__name__ for harm in harms]
        self.done.update(names)
        self.must_recover()
        return names

    def harms(self) -> list[Callable[[random.Random], None]]:
        harms = [self.kill, self.kill, self.delete, self.delete_packs, self.edit, self.touch]
        return [*harms, self.full_disk] if os.path.ismount(self.results) else harms

    def kill(self, choose: random.Random) -> None:
        """End a part of a run, or all of it, at any moment."""
        self.delete(choose)
        run = self.project.start(*SMOKE, "--", TABLE)
        time.sleep(choose.uniform(0.5, 15))
        whole = choose.random() < 0.4
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if whole:
                how = choose.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
                os.killpg(run.pid, how)
            else:
                snakemake = psutil.Process(run.pid)
                workers = [
                    process
                    for process in snakemake.children(recursive=True)
                    if any(part.startswith("unpaired.core.start") for part in process.cmdline())
                ]
                victim = choose.choice([snakemake, *workers])
                victim.send_signal(choose.choice([signal.SIGKILL, signal.SIGTERM]))
        run.communicate(timeout=300)

    def delete(self, choose: random.Random) -> None:
        """Remove some files, or a folder, of the results."""
        there = sorted(path for path in self.results.rglob("*") if path.exists())
        for path in choose.sample(there, min(len(there), choose.randint(1, 4))):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def delete_packs(self, choose: random.Random) -> None:
        """Remove all packs, and a model that needs one of them."""
        shutil.rmtree(self.results / "packs", ignore_errors=True)
        models = sorted((self.results / "models").glob("*"))
        if models and choose.random() < 0.5:
            shutil.rmtree(choose.choice(models))

    def edit(self, choose: random.Random) -> None:
        """Change the code of a method without changing what it computes."""
        text = choose.choice([f"_UNUSED = {choose.randrange(10**6)}", "# A comment.", ""])
        (self.project.folder / EDITED).write_text(f"{self.original}\n\n{text}\n")

    def touch(self, choose: random.Random) -> None:
        """Give some results other times, now and to come."""
        there = sorted(path for path in self.results.rglob("*") if path.is_file())
        for path in choose.sample(there, len(there) // 3):
            now = time.time() + choose.choice([0, 24 * 3600])
            os.utime(path, (now, now))

    def full_disk(self, choose: random.Random) -> None:
        """Let a run find little room, or none, and make room afterwards."""
        self.delete(choose)
        ballast = self.results / "ballast"
        free = shutil.disk_usage(self.results).free
        left = choose.choice([0, 4_096, 100_000, 1_000_000])
        with open(ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free - left))
        done = self.project.smoke()
        ballast.unlink()
        if done.returncode and "Traceback" in done.stdout + done.stderr:
            raise AssertionError(f"a full disk ends in a traceback:\n{done.stdout}{done.stderr}")

    def must_recover(self) -> None:
        for _ in range(RUNS_MAX):
            done = self.project.smoke()
            if done.returncode == 0:
                break
        text = done.stdout + done.stderr
        if done.returncode:
            raise AssertionError(f"no table after {RUNS_MAX} runs:\n{text}")
        if (self.project.folder / TABLE).read_text() != self.expected:
            raise AssertionError("the table is another one")
        if planned := self.project.planned_rules():
            raise AssertionError(f"there is still something to do: {planned}")
        if left := [str(path) for path in self.results.rglob(".*.part*")]:
            raise AssertionError(f"left over: {left}")


def mount(folder: Path) -> bool:
    """Put a small disk at ``folder``; say whether that was possible."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        undisturbed = Project(make_copy(folder / "undisturbed"))
        done = undisturbed.smoke()
        if done.returncode:
            raise SystemExit(f"the undisturbed run failed:\n{done.stdout}{done.stderr}")
        project = Project(make_copy(folder / "disturbed"))
        results = project.folder / "results"
        if mount(results):
            stack.callback(subprocess.run, ["umount", "--lazy", str(results)], check=True)
        soak = Soak(project, (undisturbed.folder / TABLE).read_text())
        end, seed = time.monotonic() + 60 * arguments.minutes, arguments.seed
        while time.monotonic() < end:
            print(f"round {seed}:", end=" ", flush=True)
            print(", ".join(soak.round(seed)), flush=True)
            seed += 1
        harms = ", ".join(f"{name} {times}" for name, times in sorted(soak.done.items()))
        print(f"{seed - arguments.seed} rounds survived: {harms}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

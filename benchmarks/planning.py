"""The dry run of everything: all tables at the papers' scale, with several seeds.

    python benchmarks/planning.py --seeds 5

Makes a folder for every data set that is not embedded, with one file in it: to plan, a data set
need only be there. Prints the number of jobs, the seconds and the memory of `snakemake -n`.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from unpaired import catalog

REPOSITORY = Path(__file__).parents[1]


def make_folders(root: Path) -> None:
    """Make what `data_root` would hold: a folder per data set, not empty."""
    for dataset in catalog.datasets().values():
        if dataset.folder and not dataset.made_in:
            (root / dataset.folder).mkdir(parents=True, exist_ok=True)
            (root / dataset.folder / "picture.png").write_bytes(b"a picture")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    tables = sorted((REPOSITORY / "config/tables").glob("table*.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        make_folders(Path(folder))
        seeds = list(range(1, arguments.seeds + 1))
        command = [
            *(sys.executable, "-m", "snakemake", "-n", "--configfile", "config/paper.yaml"),
            *("--config", f"data_root={folder}", f"seeds={seeds}", "device=cpu", "--"),
            *(f"results/{table.stem}.csv" for table in tables),
        ]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stderr)
    jobs = re.search(r"^total\s+(\d+)", done.stdout + done.stderr, re.M)[1]
    megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{len(tables)} tables, {len(seeds)} seeds: {jobs} jobs planned, {seconds:.1f} s,")
    print(f"{megabytes:.0f} MiB at most")


if __name__ == "__main__":
    main()

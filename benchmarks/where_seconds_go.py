"""Where the seconds of a finished run went: by rule, and by what its jobs did.

snakemake --cores 2 results/table1.csv
python benchmarks/where_seconds_go.py results --cores 2 --seconds WALL

WALL: what the run took by the clock. A job's own loop (training steps, or restoring and scoring) is
in its record; what Snakemake measured beyond that is its start: Python, PyTorch, files.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas

BM3D = ("cbm3d", "anscombe", "bm3d")
FITTED = ("dip", "self2self")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="of the whole run")
    arguments = parser.parse_args()
    jobs = pandas.DataFrame(jobs_of(arguments.results))
    starts = jobs.assign(what="start of jobs that train or score", seconds=jobs.job - jobs.loop)
    rows = pandas.concat([jobs.assign(seconds=jobs.loop), starts[starts.job > starts.loop]])
    table = rows.groupby("what").agg(jobs=("seconds", "size"), seconds=("seconds", "sum"))
    whole = arguments.cores * arguments.seconds
    table.loc["cores that waited, and Snakemake"] = [0, whole - table.seconds.sum()]
    table["share"] = (100 * table.seconds / whole).round(1)
    print(table.sort_values("seconds", ascending=False).round(0).to_markdown())


def jobs_of(results: Path) -> list[dict[str, object]]:
    """Return what every job did, its seconds, and those of its own loop."""
    jobs = []
    for path in sorted((results / "benchmarks").rglob("*.tsv")):
        rule, *parts = path.relative_to(results / "benchmarks").with_suffix("").parts
        seconds = float(pandas.read_csv(path, sep="\t").s[0])
        loop = seconds
        if rule == "train":
            loop = recorded(results / "models" / parts[0] / "model.json")
        if rule == "evaluate":
            loop = recorded(results / "scores" / parts[0] / f"{parts[1]}.json")
        what = f"{rule}: {what_of(rule, parts[0].rpartition('-')[0])}".removesuffix(": ")
        jobs.append({"what": what, "job": seconds, "loop": loop})
    return jobs


def recorded(record: Path) -> float:
    return float(json.loads(record.read_text())["seconds"])


def what_of(rule: str, method: str) -> str:
    if rule == "train":
        return method
    if rule != "evaluate":
        return ""
    if method in BM3D:
        return "BM3D"
    return "fitting networks to images" if method in FITTED else "restoring by trained networks"


if __name__ == "__main__":
    main()

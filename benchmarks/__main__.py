"""Time the workloads beside their peers: ``uv run --extra bench python -m benchmarks [NAMES]``.

Every contestant of a workload is in one run, on one core. Writes benchmarks.csv, .md and .png to --out.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

if __name__ == "__main__":  # before any library makes its threads
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "JAX_ENABLE_X64": "1"}
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

from benchmarks.measure import Row, exponent, measure  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402


def markdown(rows: list[Row]) -> str:
    """The table, times in CPU milliseconds, memory as what a call adds."""
    head = "| workload | size | contestant | ms | ratio | range | MiB |\n|---|---|---|---|---|---|---|\n"
    lines = (
        f"| {r.workload}: {WORKLOADS[r.workload].title} | {r.size} | {r.contestant} | {r.ms:.3g} | "
        f"{r.ratio:.3g} | {r.least:.3g} to {r.most:.3g} | {r.mib:.3g} |\n"
        for r in rows
    )
    return head + "".join(lines)


def picture(rows: list[Row], file: Path) -> None:
    """Each contestant's ratio to the fastest, at the largest size it was run at with another."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys((r.workload, r.size) for r in rows))
    fig, ax = plt.subplots(figsize=(8, 1 + 0.32 * len(names)), layout="constrained")
    for k, contestant in enumerate(dict.fromkeys(r.contestant for r in rows)):
        own = [r for r in rows if r.contestant == contestant]
        at = [names.index((r.workload, r.size)) for r in own]
        spread = [[r.ratio - r.least for r in own], [r.most - r.ratio for r in own]]
        marker = "o" if contestant.startswith("momentum") else "sDv^<>PX*hd"[k % 11]
        ax.errorbar([r.ratio for r in own], at, xerr=spread, fmt=marker, ms=5, label=contestant)
    ax.set_xscale("log")
    ax.set_yticks(range(len(names)), [f"{workload}, {size:,}" for workload, size in names])
    ax.invert_yaxis()
    ax.grid(axis="x", alpha=0.3)
    ax.set_xlabel("CPU time over that of the fastest contestant, median and range of the rounds")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    fig.savefig(file, dpi=150)
    plt.close(fig)


def main() -> None:
    """Run what was asked for, and write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"all unless given; of {', '.join(WORKLOADS)}")
    parser.add_argument(
        "--out", type=Path, default=Path(".momentum/benchmarks"), help="where the table and the picture go"
    )
    parser.add_argument("--small", action="store_true", help="the smallest size alone")
    given = parser.parse_args()
    rows: list[Row] = []
    for name, work in WORKLOADS.items():
        if given.names and not any(name.startswith(wanted) for wanted in given.names):
            continue
        for size in work.sizes[:1] if given.small else work.sizes[1:]:
            made = measure(name, size, work.contest(size), work.rtol, work.rounds)
            print(markdown(made).split("\n", 2)[2], end="", flush=True)
            rows += made
        grids = name.startswith("B5")  # of size² cells
        for contestant in dict.fromkeys(r.contestant for r in rows if r.workload == name and grids):
            if len([r for r in rows if (r.workload, r.contestant) == (name, contestant)]) > 2:
                print(f"{name}: {contestant} grows as cells^{exponent(rows, name, contestant):.2f}")
    given.out.mkdir(parents=True, exist_ok=True)
    with (given.out / "benchmarks.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([Row._fields, *rows])
    (given.out / "benchmarks.md").write_text(markdown(rows), encoding="utf-8")
    picture(rows, given.out / "benchmarks.png")


if __name__ == "__main__":
    main()

"""Would the tests notice? A module is changed in one place at a time, and its tests are to go red.

    uv run --with cosmic-ray python tests/mutation.py schedules spectrum/leaps --sample 40

Works on a copy, never on the checkout. Of all changes a sample is tried, the same for one seed. Prints what
survived, as a diff, and ends with 1 where less than `--least` of the sample was killed.
"""

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: Tests of a module beside those of its own name.
BESIDE = {
    "runner": ["properties"],
    "spectrum": ["properties", "oscillation"],
    "conversions": ["properties"],
    "symbolic": ["properties", "identification"],
    "clock": ["runner", "definition"],
}


def tests_of(module):
    """The files that are to notice a change in a module."""
    room = module.split("/")[0]
    names = [module.replace("/", "_"), room, *BESIDE.get(room, [])]
    files = [ROOT / "tests" / f"test_{name}.py" for name in dict.fromkeys(names)]
    return [str(file.relative_to(ROOT)) for file in files if file.exists()]


def changed(module, tree, sample, seed, timeout):
    """How each of a sample of changes ended, and all there are: outcomes by diff, and their number."""
    from cosmic_ray.work_db import WorkDB, use_db
    from cosmic_ray.work_item import WorkerOutcome, WorkResult

    tests = " ".join(tests_of(module))
    options = "-x -q -n0 -p no:cacheprovider -p no:nbval -o addopts= --import-mode=importlib"
    config = {
        "module-path": [f"momentum_lib/{module}.py"],
        "timeout": timeout,
        "excluded-modules": [],
        "test-command": f"{sys.executable} -m pytest {options} {tests}",
    }
    lines = ["[cosmic-ray]", *(f"{key} = {json.dumps(value)}" for key, value in config.items())]
    (tree / "mutation.toml").write_text("\n".join([*lines, "[cosmic-ray.distributor]", 'name = "local"', ""]))
    session = tree / f"{module.replace('/', '_')}.sqlite"

    def ray(command):
        call = [sys.executable, "-m", "cosmic_ray.cli", command, "mutation.toml", str(session)]
        subprocess.run(call, cwd=tree, check=True)

    ray("init")
    with use_db(str(session), WorkDB.Mode.open) as db:
        # A | is mostly that of an annotation, which nothing computes. Small whole numbers that are equal are
        # one object, so `is` for `==` changes nothing.
        idle = re.compile("_BitOr_|_Eq_Is$|_NotEq_IsNot$")
        real = [(item.mutations[0], item.job_id) for item in db.work_items]
        real = [(at, job) for at, job in real if not idle.search(at.operator_name)]
        real.sort(
            key=lambda one: (one[0].start_pos, one[0].operator_name, one[0].occurrence)
        )  # ids are drawn
        chosen = {job for _, job in random.Random(seed).sample(real, min(sample, len(real)))}
        left = [item.job_id for item in db.work_items if item.job_id not in chosen]
        db.set_multiple_results(left, WorkResult(WorkerOutcome.SKIPPED))
    ray("exec")
    with use_db(str(session), WorkDB.Mode.open) as db:
        return [result for job, result in db.results if job in chosen], len(real)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="+", help="such as schedules or spectrum/leaps")
    parser.add_argument("--sample", type=int, default=40, help="changes tried in each module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=300, help="seconds; what takes longer is killed")
    parser.add_argument("--least", type=float, default=0.95, help="share that has to be killed")
    given = parser.parse_args()
    tried, killed = 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        for part in ("momentum_lib", "tests"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("pyproject.toml", "conftest.py"):
            shutil.copy(ROOT / part, tree)
        # A change is a file written within the second: bytecode of the text before would be taken for it.
        (tree / "sitecustomize.py").write_text("import sys; sys.dont_write_bytecode = True\n")
        for module in given.modules:
            results, there_are = changed(module, tree, given.sample, given.seed, given.timeout)
            survived = [result.diff for result in results if not result.is_killed]
            print(f"{module}: {len(results) - len(survived)} of {len(results)} killed, {there_are} there are")
            print(*survived, sep="\n", flush=True)
            tried, killed = tried + len(results), killed + len(results) - len(survived)
    print(f"{killed} of {tried} killed")
    return int(killed < given.least * tried)


if __name__ == "__main__":
    sys.exit(main())

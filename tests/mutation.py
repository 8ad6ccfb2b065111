"""Would the tests notice? A module is changed in one place at a time, and its tests are to go red.

    uv run --with cosmic-ray python tests/mutation.py schedules spectrum/leaps --sample 40

Works on a copy, never on the checkout. Of all changes a sample is tried, the same for one seed. Prints what
survived, as a diff, and ends with 1 where less than `--least` of the sample was killed.
"""

import argparse
import ast
import difflib
import importlib
import multiprocessing
import os
import random
import re
import shutil
import signal
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

#: What changes no behaviour: small whole numbers that are equal are one object, so `is` is `==` there; a
#: cache is only quicker; a strict zip of equal lengths is a zip.
IDLE = re.compile(
    r"_Eq_Is$|_NotEq_IsNot$|RemoveDecorator: *@(functools\.)?(lru_)?cache|ReplaceTrueWithFalse:.*strict=True"
)


def tests_of(module):
    """The files that are to notice a change in a module."""
    room = module.split("/")[0]
    names = [module.replace("/", "_"), room, *BESIDE.get(room, [])]
    files = [ROOT / "tests" / f"test_{name}.py" for name in dict.fromkeys(names)]
    return [str(file.relative_to(ROOT)) for file in files if file.exists()]


def told(text):
    """The lines and columns of a module that are read, not computed: annotations, and what an error says."""
    spans = []
    for node in ast.walk(ast.parse(text)):
        parts = [getattr(node, name, None) for name in ("annotation", "returns", "exc")]
        spans += [
            ((part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)) for part in parts if part
        ]
    return spans


def changes(text):
    """Every change of a module in one place: operator and occurrence, in the order of the text."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    lines, spans, found = text.splitlines(), told(text), []
    nodes = list(ast_nodes(get_ast(text)))
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments():
            continue
        places = (at for node in nodes for at, _ in operator().mutation_positions(node))
        for occurrence, at in enumerate(places):
            idle = IDLE.search(name) or IDLE.search(f"{name.split('/')[-1]}:{lines[at[0] - 1]}")
            if not idle and not any(start <= at < end for start, end in spans):
                found.append((at, name, occurrence))
    return [change[1:] for change in sorted(found)]


def run_tests(tree, tests):
    """In a process of its own: pytest on the copy, silent, its exit status that of the process."""
    os.setsid()
    os.chdir(tree)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    sys.path.insert(0, str(tree))
    options = "-x -q -n0 -p no:cacheprovider -p no:nbval -o addopts= --import-mode=importlib"
    os._exit(importlib.import_module("pytest").main([*options.split(), *tests]))


def red(tree, module, text, timeout):
    """Whether the tests of a module notice that it has this text; taking longer than timeout is noticed."""
    (tree / f"momentum_lib/{module}.py").write_text(text)
    child = multiprocessing.get_context("fork").Process(target=run_tests, args=(tree, tests_of(module)))
    child.start()
    child.join(timeout)
    if child.is_alive():
        os.killpg(child.pid, signal.SIGKILL)
        child.join()
    return child.exitcode != 0


def survivors(module, tree, sample, seed, timeout):
    """What no test noticed of a sample of changes, as diffs, the number tried, and all there are."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    file = f"momentum_lib/{module}.py"
    text = (tree / file).read_text()
    if red(tree, module, text, timeout):
        sys.exit(f"The tests of {module} are red, or longer than {timeout:g} s, before any change.")
    # A change is a file written within the second: bytecode of the text before would be taken for it.
    sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
    every = changes(text)
    chosen = random.Random(seed).sample(every, min(sample, len(every)))
    survived = []
    for name, occurrence in chosen:
        changed = mutate_code(text, get_operator(name)(), occurrence)
        if not red(tree, module, changed, timeout):
            diff = difflib.unified_diff(text.splitlines(), changed.splitlines(), file, name, lineterm="")
            survived.append("\n".join(diff))
    (tree / file).write_text(text)
    return survived, len(chosen), len(every)


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
    # Forked from here, a run of tests finds these imported; momentum_lib it imports itself, as changed.
    for name in ("pandas", "pytest", "scipy.optimize", "scipy.signal", "sympy"):
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        os.environ["PYTHONPATH"] = str(tree)
        for part in ("momentum_lib", "notebooks", "tests"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("pyproject.toml", "conftest.py"):
            shutil.copy(ROOT / part, tree)
        for module in given.modules:
            survived, sampled, there_are = survivors(module, tree, given.sample, given.seed, given.timeout)
            print(f"{module}: {sampled - len(survived)} of {sampled} killed, {there_are} there are")
            print(*survived, sep="\n", flush=True)
            tried, killed = tried + sampled, killed + sampled - len(survived)
    print(f"{killed} of {tried} killed")
    return int(killed < given.least * tried)


if __name__ == "__main__":
    sys.exit(main())

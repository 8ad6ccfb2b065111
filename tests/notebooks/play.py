"""Change each marked parameter of a notebook, as a reader would, and run its section.

    python tests/notebooks/play.py notebooks/05_study_gamma_sensitivity.ipynb

A mark is a comment with another value that has to work: ``kappa = 100.0  # change me: 1000.0``. The cells
before the section run as they stand, then those of the section with the other value and without their
asserts, which hold for the values tried. A line is printed for each mark, "ok" or what was raised.
"""

import ast
import atexit
import os
import re
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from itertools import groupby
from pathlib import Path

from momentum_lib.collection import Execution, Notebook

MARK = re.compile(r"^(?P<lead>\s*[\w, ]+ = ).+  # change me: (?P<other>.+)$")
LIMIT = 300  # seconds a section may take: ends what hangs


def sections(notebook):
    """The code cells between two second-level headings, in order."""
    number, found = 0, []
    for cell in notebook.content["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            found.append((number, text))
        else:
            number += bool(re.search(r"^## ", text, re.MULTILINE))
    return [[text for _, text in cells] for _, cells in groupby(found, key=lambda pair: pair[0])]


def marks(cells):
    """(cell, line as it stands, line with the other value) of each mark among some cells."""
    for number, text in enumerate(cells):
        for line in text.splitlines():
            if found := MARK.match(line):
                yield number, line, found["lead"] + found["other"]


class WithoutAsserts(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.copy_location(ast.Pass(), node)


def execute(cells, names):
    import matplotlib.pyplot as plt

    for tree in cells:
        exec(compile(tree, "<cell>", "exec"), names)
        plt.close("all")


def change(before, cells, number, line, other, names):
    """What is raised by a section with one parameter changed, in a process of its own: "" is nothing."""
    read, write = os.pipe()
    if not (child := os.fork()):
        told = ""
        try:
            execute(map(ast.parse, before), names)
            signal.alarm(LIMIT)
            cells = [*cells[:number], cells[number].replace(line, other), *cells[number + 1 :]]
            execute([WithoutAsserts().visit(ast.parse(text)) for text in cells], names)
        except BaseException:
            told = "".join(traceback.format_exc().splitlines(keepends=True)[-3:])
        os.write(write, told.encode()[:4096])
        os._exit(0 if not told else 1)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    status = os.waitpid(child, 0)[1]
    return told or (f"ended by signal {status}, the limit is {LIMIT} s" if status else "")


def play(notebook, names):
    """Yield (mark, what it raised). `names` are those that the cells share.

    The cells before a section run once, for all its marks; but XLA and PyTorch bear no fork, and under
    them each mark runs them again.
    """
    before, again = [], {"jax", "torch"} & {*notebook.requires}
    for cells in sections(notebook):
        for number, line, other in marks(cells):
            yield line.strip(), change(before, cells, number, line, other, names)
        if again:
            before += cells
        else:
            execute(map(ast.parse, cells), names)


def main(path):
    figures = tempfile.mkdtemp(prefix="momentum-figures-")  # of other numbers: nothing to compare with
    atexit.register(shutil.rmtree, figures, ignore_errors=True)
    os.environ.update(Execution(figures=figures).variables | {"MPLBACKEND": "agg"})
    warnings.simplefilter("ignore")  # a reader's value may warn
    notebook = Notebook(Path(path).resolve())
    os.chdir(notebook.path.parent)
    sys.path.insert(0, ".")
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115
    broken = 0
    for mark, raised in play(notebook, {"__name__": "__main__"}):
        broken += bool(raised)
        print(f"{mark} -> {raised or 'ok'}", file=out, flush=True)
    return broken > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

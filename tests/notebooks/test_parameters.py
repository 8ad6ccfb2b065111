"""Every parameter marked in a notebook may be changed: its section then runs to the end (see play.py)."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from momentum_lib.collection import notebooks

PLAY = Path(__file__).with_name("play.py")
ROOT = PLAY.parents[2]
SAMPLE = ("00", "04")  # what the gate plays; the others are played by `pytest --whole`

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")


def play(path):
    return subprocess.run([sys.executable, PLAY, path], capture_output=True, text=True)


def left_to_demand(notebook):
    rest = () if notebook.number in SAMPLE else (pytest.mark.whole,)
    return pytest.param(notebook, id=notebook.stem, marks=rest)


@pytest.mark.parametrize("notebook", [left_to_demand(notebook) for notebook in notebooks(ROOT)])
def test_every_marked_parameter_may_be_changed(notebook):
    if notebook.missing:
        pytest.skip(f"needs {', '.join(notebook.missing)}")
    done = play(notebook.path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("-> ok") >= 4


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["kappa = 10  # change me: 20", "assert kappa == 10"], "-> ok"),  # a claim holds at its setting
        (["kappa = 10  # change me: 20", "[1][kappa - 10]"], "IndexError"),
        (["many = (1, 2)  # change me: (1, 2, 3)", "a, b = many"], "too many values"),
        (["kappa = 10  # change me: text that is no value", "kappa"], "SyntaxError"),
    ],
)
def test_a_section_that_breaks_is_seen(tmp_path, cells, told):
    head = [new_markdown_cell("# Try"), new_code_cell("first = 1"), new_markdown_cell("## Play")]
    node = new_notebook(cells=head + [new_code_cell(cell) for cell in cells])
    nbformat.write(node, tmp_path / "01_try.ipynb")
    done = play(tmp_path / "01_try.ipynb")
    assert told in done.stdout and done.returncode == (told != "-> ok"), done.stdout + done.stderr

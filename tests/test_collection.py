"""What a notebook declares is read from its text, without running it."""

import json
from pathlib import Path

import pytest

from momentum_lib.collection import Execution, Notebook, NotebookError, find_root, machine_path, notebooks


@pytest.fixture
def write(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks").mkdir()

    def write(stem, *cells, metadata=None):
        path = tmp_path / "notebooks" / f"{stem}.ipynb"
        kinds = [("markdown" if cell.startswith("#") else "code", cell) for cell in cells]
        content = {
            "cells": [{"cell_type": kind, "source": text.splitlines(keepends=True)} for kind, text in kinds],
            "metadata": metadata or {},
        }
        path.write_text(json.dumps(content))
        return Notebook(path)

    return write


def test_title_number_and_name(write):
    one = write("05_study_gamma", "# Study gamma\n\ntext", "## Not this")
    assert (one.number, one.name, one.title) == ("05", "study_gamma", "Study gamma")
    assert write("scratch", "1").title == "scratch"


@pytest.mark.parametrize(
    "imports, call, kind",
    [
        ("from momentum_lib import save", "save(fig, 'a-b', data)", "figures"),
        ("from momentum_lib import save as keep", "%matplotlib inline\nkeep(fig, 'a-b', data)", "figures"),
        ("from momentum_lib.plots import save", "save(fig, 'a-b', data)", "figures"),
        ("import momentum_lib as ml", "ml.save(fig, 'a-b', data)", "figures"),
        ("import momentum_lib", "momentum_lib.plots.save(fig, 'a-b', data)", "figures"),
        ("from momentum_lib import plots", "plots.save(fig, 'a-b', data)", "figures"),
        ("from momentum_lib.learning import measured", "measured('a-b', trials)", "results"),
        ("from momentum_lib.learning import measured as long", "long('a-b', trials)", "results"),
        ("from momentum_lib import learning", "learning.measured('a-b', trials)", "results"),
        ("import momentum_lib as ml", "ml.learning.measured('a-b', trials)", "results"),
        ("from momentum_lib import published", "published.check('a-b', 1)\nother.check('c/d')", "published"),
    ],
)
def test_what_is_declared_is_found_under_any_import(write, imports, call, kind):
    assert getattr(write("05_x", imports, call), kind) == ("a-b",)


def test_other_functions_called_save_are_left_alone(write):
    assert write("05_x", "import numpy as np", "np.save('a', b)\nsave('a')\n!ls").figures == ()


SAVE, MEASURE = "from momentum_lib import save", "from momentum_lib.learning import measured"


@pytest.mark.parametrize(
    "imports, calls, message",
    [
        (SAVE, "save(fig, f'map-{i}', data)", "save with a figure name that is not a literal"),
        (SAVE, "save(f, 'a', d)\nsave(f, 'a', d)", "the figure name 'a' twice; rename one"),
        (MEASURE, "measured(name, trials)", "measured with a campaign name that is not a literal"),
        (MEASURE, "measured('a', trials)\nmeasured('a', others)", "the campaign name 'a' twice; rename one"),
    ],
)
def test_a_name_must_be_literal_and_used_once(write, tmp_path, imports, calls, message):
    write("05_x", imports, calls)
    with pytest.raises(NotebookError, match=message):
        notebooks(tmp_path)


def test_two_notebooks_cannot_claim_one_name(write, tmp_path):
    write("05_x", SAVE, "save(fig, 'a', data)")
    write("06_y", MEASURE, "measured('a', trials)")
    assert len(notebooks(tmp_path)) == 2  # a figure and a campaign may share a name
    write("07_z", SAVE, "save(fig, 'a', data)")
    with pytest.raises(NotebookError, match="figure 'a' is saved by 05_x and 07_z; rename one"):
        notebooks(tmp_path)
    write("07_z", MEASURE, "measured('a', trials)")
    with pytest.raises(NotebookError, match="campaign 'a' is measured by 06_y and 07_z; rename one"):
        notebooks(tmp_path)


def test_requirements(write):
    one = write("12_x", "1", metadata={"momentum": {"requires": ["json", "nonesuch_library"]}})
    assert (one.requires, one.missing) == (("json", "nonesuch_library"), ("nonesuch_library",))


def test_what_is_no_notebook_is_refused(write, tmp_path):
    write("05_x", "1").path.write_text("{")
    with pytest.raises(NotebookError, match=r"05_x\.ipynb is not a notebook"):
        notebooks(tmp_path)
    with pytest.raises(NotebookError, match="not Python"):
        _ = write("05_x", "from momentum_lib import (").figures


def test_the_root_is_the_nearest_pyproject(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "notebooks")
    assert find_root() == tmp_path.resolve() and notebooks(find_root()) == []
    with pytest.raises(ValueError, match=r"no pyproject\.toml"):
        find_root(Path(tmp_path.anchor))


def test_an_execution_is_read_as_it_was_written(monkeypatch):
    written = Execution(figures="a", figures_reference="b", notebook="05_x", full="1")
    for name, value in written.variables.items():
        monkeypatch.setenv(name, value)
    assert Execution.here() == written and written.variables["OMP_NUM_THREADS"] == "1"
    monkeypatch.delenv("MOMENTUM_FULL")
    assert Execution.here().full == ""


@pytest.mark.parametrize(
    "text, found",
    [
        ("/home/ann/x.py", "/home/ann/x.py"),
        ("see '/tmp/ipykernel_1/2.py'", "/tmp/ipykernel_1/2.py"),
        (r"C:\Users\ann", r"C:\Users\ann"),
        ("in /somewhere/else/momentum_lib", "/somewhere/else"),
        ("https://example.org/home/ann", None),
        ("1/var x", None),
        ("figures/home/x", None),
    ],
)
def test_machine_paths(text, found):
    assert machine_path(text, Path("/somewhere/else")) == found

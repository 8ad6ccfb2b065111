"""Importing momentum_lib is cheap, and every public name resolves whatever was imported before it."""

import ast
import importlib.util
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parent.parent / "momentum_lib"
HEAVY = ("numpy", "sympy", "matplotlib", "pandas", "scipy", "jax", "torch", "keras", "tensorflow")

#: Where each public name lives, as the stub lists it.
STUB = ast.parse((LIBRARY / "__init__.pyi").read_text(encoding="utf-8"))
HOME = {
    alias.asname or alias.name: f"momentum_lib.{node.module}"
    for node in STUB.body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}

MODULES = sorted(
    ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in LIBRARY.rglob("*.py")
    if path.name != "__main__.py"
)

#: One fresh process: a submodule imported first once shadowed the function of the same name.
PROBE = """
import importlib
import momentum_lib

def load(module, name="__name__"):
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "momentum_lib").split(".")[0] == "momentum_lib":
            raise  # anything else is a library that is not installed

load(first)
for name, home in homes.items():
    if (wanted := load(home, name)) is not None:
        found = getattr(momentum_lib, name)
        assert found is wanted, f"after importing {first}, momentum_lib.{name} is {found!r}, not {wanted!r}"
"""


def test_public_names_are_those_of_the_stub():
    import momentum_lib

    assert sorted(momentum_lib.__all__) == sorted(HOME)
    for name in ("no_such_name", "numpy"):
        with pytest.raises(AttributeError, match=name):
            getattr(momentum_lib, name)


def test_every_name_resolves_after_every_module():
    # The third-party libraries are loaded once, in the server each fresh process is forked from.
    preload = ("numpy", "scipy.signal", "sympy", "pandas", "matplotlib.pyplot")
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload([m for m in preload if importlib.util.find_spec(m.split(".")[0])])
    with context.Pool(2, maxtasksperchild=1) as pool:
        pool.starmap(exec, [(PROBE, {"first": m, "homes": HOME}) for m in MODULES], chunksize=1)


def test_import_loads_nothing_heavy():
    probe = (
        "import sys, momentum_lib; momentum_lib.RULES['nesterov']; "
        f"print(sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

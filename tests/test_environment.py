"""environment.yml is pyproject.toml seen from conda: generated, in agreement, every spec valid.

The specs are checked, the solve is not: that needs conda and its channels.
"""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def content(text: str) -> list[str]:
    """Lines without the generator's comments, whose wording is its own."""
    return [line for line in text.splitlines() if not line.startswith("#")]


LINES = content((ROOT / "environment.yml").read_text(encoding="utf-8"))
CONDA = [line.removeprefix("  - ") for line in LINES if line.startswith("  - ") and not line.endswith(":")]
CONDA = CONDA[CONDA.index("conda-forge") + 1 :]
PIP = [line.removeprefix("      - ") for line in LINES if line.startswith("      - ")]


def name_of(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", Requirement(requirement).name).lower()


def test_agrees_with_pyproject(tmp_path):
    pytest.importorskip("pyproject2conda")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    command = [sys.executable, "-m", "pyproject2conda", "project"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    fresh = content((tmp_path / "environment.yml").read_text(encoding="utf-8"))
    assert fresh == LINES, "environment.yml is stale; run `uv run pyproject2conda project`"


def test_names_every_dependency_but_the_frameworks():
    extras = PROJECT["project"]["optional-dependencies"]
    own = PROJECT["project"]["name"]
    wanted = [
        *PROJECT["project"]["dependencies"],
        *(line for extra in ("lab", "learning", "worst-cases", "book") for line in extras[extra]),
        *(line for line in PROJECT["dependency-groups"]["dev"] if name_of(line) != own),
    ]
    there = {name_of(line) for line in [*CONDA, *PIP] if line != "-e ."}
    assert not {name_of(line) for line in wanted} - there
    assert not {name_of(line) for line in extras["frameworks"]} & there


def asked() -> set[str]:
    """What a reader's installation is told to bring, by the name it is imported under."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    names = {name_of(line) for lines in (PROJECT["project"]["dependencies"], *extras) for line in lines}
    modules = {"scikit-learn": "sklearn", "tensorflow-cpu": "tensorflow", "pepit": "PEPit"}
    return {modules.get(name, name.replace("-", "_")) for name in names}


def test_nothing_is_asked_for_that_nothing_uses():
    """What is only run, not named in any code: JupyterLab and its kernel; the tools of the group dev."""
    folders = ("momentum_lib", "notebooks", "book", "benchmarks")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.[ip]*y*")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files if path.suffix != ".pyc")
    names = {name.replace("_", "[-_]") for name in asked() - {"jupyterlab", "ipykernel"}}
    assert len(names) > 10
    assert not [name for name in names if not re.search(rf"\b{name}\b", text, re.IGNORECASE)]


def test_what_the_library_imports_is_asked_for_by_name():
    """Not left to what another dependency happens to bring."""
    imported = set()
    for path in (ROOT / "momentum_lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.split(".")[0] for name in names}
    assert imported - sys.stdlib_module_names - {"momentum_lib"} - asked() == set()


@pytest.mark.parametrize("spec", CONDA)
def test_conda_spec_is_valid(spec):
    match_spec = pytest.importorskip("rattler").MatchSpec
    parsed = match_spec(spec, strict=True)
    assert parsed.name.normalized == re.split(r"[<>=~!]", spec)[0]


def test_strict_parser_refuses_a_slip():
    match_spec = pytest.importorskip("rattler").MatchSpec
    with pytest.raises(Exception, match="unable to parse version spec"):
        match_spec("numpy=>2.1", strict=True)


@pytest.mark.parametrize("spec", [line for line in PIP if line != "-e ."])
def test_pip_spec_is_valid(spec):
    assert Requirement(spec).specifier


def test_python_range_is_that_of_the_package():
    ranges = [spec.removeprefix("python") for spec in CONDA if re.match(r"python[<>=]", spec)]
    assert [SpecifierSet(r) for r in ranges] == [SpecifierSet(PROJECT["project"]["requires-python"])]


def test_a_launch_on_binder_installs_the_collection_from_its_folder(monkeypatch):
    """Read as Binder reads it; the launch itself needs Docker and a network."""
    repo2docker = pytest.importorskip("repo2docker.app")
    monkeypatch.chdir(ROOT)
    packs = (pack("buildpack-deps") for pack in repo2docker.Repo2Docker().buildpacks)
    first = next(pack for pack in packs if pack.detect())
    assert type(first).__name__ == "PythonBuildPack"
    assert first.python_version in SpecifierSet(PROJECT["project"]["requires-python"])
    [(_, script)] = first.get_assemble_scripts()  # one step, once the whole folder is there
    file = re.search(r'pip install .*-r "(.+)"', script)[1]
    [line] = [line for line in (ROOT / file).read_text("utf-8").splitlines() if not line.startswith("#")]
    assert line == "-e .[lab,learning,worst-cases]"
    assert set(line[5:-1].split(",")) < set(PROJECT["project"]["optional-dependencies"])


def test_every_dependency_line_says_why():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    arrays = re.findall(r"^(\w[\w-]*) = \[\n(.*?)^\]", text, flags=re.MULTILINE | re.DOTALL)
    checked = [
        line
        for name, body in arrays
        if name in {"dependencies", "dev", *PROJECT["project"]["optional-dependencies"]}
        for line in body.splitlines()
    ]
    assert len(checked) > 20
    assert not [line for line in checked if not re.search(r"\",\s+# \S", line)]

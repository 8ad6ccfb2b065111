"""What runs elsewhere is well formed and calls what there is; whether it is green is seen there only."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from momentum_lib import cli

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BESIDE_PYTHON = Path(sys.executable).parent


def steps(file):
    for job in yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values():
        yield from job["steps"]


def commands(file):
    """The lines of a workflow, each value of a matrix put in."""
    job_texts = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values()
    for job in job_texts:
        rows = job.get("strategy", {}).get("matrix", {}).get("include", [{}])
        for step in job["steps"]:
            for line in step.get("run", "").splitlines():
                yield from {
                    re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda m, r=row: r[m[1]], line) for row in rows
                }


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_follows_the_schema(file):
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", file]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_every_command_of_a_workflow_exists(file):
    found = list(commands(file))
    assert found
    for line in found:
        program, *arguments = line.split()
        if program != "uv":
            assert (ROOT / program).stat().st_mode & 0o111, line
            continue
        if (uv := shutil.which("uv")) is None:
            pytest.skip("needs uv")
        known = subprocess.run([uv, arguments[0], "--help"], capture_output=True, text=True).stdout
        words = iter(arguments[1:])
        for word in words:
            if word in ("--resolution", "--exclude-newer", "--extra"):
                assert word in known, line
                next(words)
            elif word.startswith("--"):
                assert word in known, line
            elif word == "momentum":
                with pytest.raises(SystemExit) as ended:
                    cli.main([*words, "--help"])
                assert ended.value.code == 0, line
            else:
                assert arguments[0] == "run" and shutil.which(word, path=BESIDE_PYTHON), line


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_an_action_is_pinned_to_a_version(file):
    used = [step["uses"] for step in steps(file) if "uses" in step]
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", name) for name in used)


def test_every_supported_python_is_tried_on_every_system():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    low, high = map(int, re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', text).groups())
    matrix = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))["jobs"][
        "systems"
    ]
    tried = matrix["strategy"]["matrix"]
    assert tried["python"] == [f"3.{minor}" for minor in range(low, high)]
    assert {name.split("-")[0] for name in tried["os"]} == {"ubuntu", "macos", "windows"}

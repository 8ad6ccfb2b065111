"""The command: what it lists, what it refuses, that reproducing is whole or nothing, that long runs go on."""

import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from momentum_lib.cli import main
from momentum_lib.execution import normalize

IMPORTS = "from matplotlib.figure import Figure\nfrom momentum_lib import published, save"
DRAW = "fig = Figure()\nfig.subplots().plot([1, 2])\nsave(fig, {name!r}, {{'x': [1.0, {end}]}})"
CHECK = "published.check('lessard-2016/cycle-p', {value})"


def write(root, stem, *cells, requires=()):
    """A tiny notebook, not yet executed."""
    (root / "notebooks").mkdir(exist_ok=True)
    (root / "pyproject.toml").write_text("[tool.momentum]\n")
    title = new_markdown_cell(f"# Try {stem}")
    node = new_notebook(cells=[title, *map(new_code_cell, cells)])
    node.metadata["momentum"] = {"requires": list(requires)}
    nbformat.write(node, root / "notebooks" / f"{stem}.ipynb")


def good(root):
    draw = DRAW.format(name="a-ball", end="2.0")
    check = CHECK.format(value="792 / 1225")
    write(root, "01_roll", IMPORTS, draw, check, "print('one')\nprint('two')\n1 + 1")


CAMPAIGN = """
from momentum_lib import heavy_ball
from momentum_lib.learning import Classifier, Digits, Trial, measured
task = Classifier(Digits(count=20), (4,), batch=None)
trials = [Trial(heavy_ball.at(eta=eta, gamma=0.9), task, 5) for eta in {etas}]
measured("tiny", trials)
"""


def long(root, etas=(0.1, 0.2, 0.3), then="1"):
    """A notebook with a campaign of tiny trainings."""
    write(root, "01_long", CAMPAIGN.format(etas=etas), then, requires=["jax"])


def trainings(root):
    """When each training that is kept was made."""
    return {p.name: p.stat().st_mtime_ns for p in (root / ".momentum" / "trainings").glob("*.json")}


def tree(root):
    """Every file outside the ignored state, with its bytes."""
    files = (p for p in root.rglob("*") if p.is_file() and ".momentum" not in p.parts)
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.momentum]\n")
    return tmp_path


def test_list_names_rules_notebooks_figures_and_what_is_missing(root, capsys):
    good(root)
    write(root, "02_need", "1", requires=["nonesuch_library"])
    long(root)
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert "heavy_ball(theta, v; eta, gamma)\n      Heavy ball, classical momentum" in shown
    assert "torch_sgd(theta, b; eta, gamma, dampening=0, weight_decay=0)" in shown
    assert "01 roll: Try 01_roll\n      figures: a-ball" in shown
    assert "01 long: Try 01_long\n      long sweeps: tiny" in shown
    assert "02 need: Try 02_need\n      not runnable here: needs nonesuch_library" in shown


def test_an_empty_collection_is_reproduced(root, capsys):
    assert main(["reproduce"]) == 0
    assert main(["list"]) == 0
    assert "No notebooks yet" in capsys.readouterr().out
    assert tree(root) == {"pyproject.toml": b"[tool.momentum]\n"}


def test_another_projects_notebooks_are_left_alone(root, capsys):
    good(root)
    (root / "pyproject.toml").write_text('[project]\nname = "theirs"\n')
    before = tree(root)
    assert main(["reproduce"]) == main(["list"]) == 2
    assert "the project 'theirs', not of this collection" in capsys.readouterr().err
    assert tree(root) == before


@pytest.mark.parametrize(
    "id, hint", [("rol", "roll"), ("a-bal", "a-ball"), ("7", "momentum list"), ("", "momentum list")]
)
def test_an_unknown_id_names_near_ones(root, capsys, id, hint):
    good(root)
    assert main(["reproduce", id]) == 2
    assert f"no notebook or figure {id!r}" in (error := capsys.readouterr().err) and hint in error


def test_wrong_use_ends_with_status_two(root, capsys):
    with pytest.raises(SystemExit) as end:
        main(["reproduce", "--jobs", "0"])
    assert end.value.code == 2 and "whole number from 1" in capsys.readouterr().err
    write(root, "01_x", IMPORTS, "save(fig, name, data)")
    assert main(["reproduce"]) == 2 and "not a literal" in capsys.readouterr().err


def test_reproduce_writes_once_and_remembers(root, capsys):
    good(root)
    write(root, "02_need", "1", requires=["nonesuch_library"])
    assert main(["reproduce", "--jobs", "1"]) == 0
    shown = capsys.readouterr().out
    assert "01_roll: done in" in shown
    assert "02_need: skipped; needs nonesuch_library: uv run --all-extras momentum reproduce 02" in shown
    assert "lessard-2016/cycle-p  0.64653061  0.64653061  1e-12      agrees" in shown
    assert "1 done, 0 up to date, 1 skipped, 0 failed. Published numbers: 1 agree, 0 differ." in shown
    drawn = {f"a-ball.{kind}" for kind in ("png", "svg", "csv")}
    assert {p.name for p in (root / "figures").iterdir()} == {"README.md", "explorer.html", *drawn}
    assert "![A ball.](a-ball.png)" in (root / "figures" / "README.md").read_text()
    assert "(../notebooks/01_roll.ipynb)" in (root / "figures" / "README.md").read_text()
    assert not list((root / ".momentum").glob("run-*"))

    node = nbformat.read(root / "notebooks" / "01_roll.ipynb", as_version=4)
    code = [cell for cell in node.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4]
    assert [output.get("text") for output in code[3].outputs] == ["one\ntwo\n", None]
    assert all(cell.metadata == {} for cell in node.cells) and "version" not in node.metadata.language_info

    # Up to date: nothing runs, the published numbers are still shown.
    before = tree(root)
    assert main(["reproduce", "1"]) == 0
    shown = capsys.readouterr().out
    assert "01_roll: current; up to date" in shown and "1 agree" in shown
    assert tree(root) == before

    # A check executes all the same, compares, and writes nothing, neither if the numbers agree ...
    csv = root / "figures" / "a-ball.csv"
    csv.write_text(csv.read_text().replace("\n2\n", "\n2.0000001\n"))
    before = tree(root)
    assert main(["reproduce", "a-ball", "--check"]) == 0
    assert "01_roll: done" in capsys.readouterr().out and tree(root) == before

    # ... nor if they do not.
    csv.write_text(csv.read_text().replace("\n2.0000001\n", "\n3\n"))
    before = tree(root)
    assert main(["reproduce", "a-ball", "--check"]) == 1
    assert "column x, row 1: 2 here, 3 in a-ball.csv" in capsys.readouterr().out
    assert tree(root) == before

    # The changed file is noticed, and mended to the very bytes of the first run.
    assert main(["reproduce"]) == 0
    assert "01_roll: done" in capsys.readouterr().out and csv.read_text().endswith("\n1\n2\n")
    assert {**tree(root), "figures/a-ball.csv": b""} == {**before, "figures/a-ball.csv": b""}


def test_a_failure_leaves_everything_untouched(root, capsys):
    write(root, "01_differ", IMPORTS, DRAW.format(name="a-ball", end="2.0"), CHECK.format(value=0.5))
    write(root, "02_path", "print('/home/ann/data')")
    before = tree(root)
    assert main(["reproduce"]) == 1
    shown = capsys.readouterr().out
    assert "published 0.6465306122, here 0.5" in shown and "0.64653061  0.5   1e-12      differs" in shown
    assert "02_path: failed" in shown and "'/home/ann/data'" in shown
    assert "0 agree, 1 differ" in shown
    assert tree(root) == before and not list((root / ".momentum").glob("*"))


#: A cell that ends once it may; what waits for it in vain fails and does not hang.
WAIT = """
import os, time
for _ in range(10_000):
    if os.path.exists("go"):
        break
    time.sleep(0.05)
"""


#: Tests that were started in the background ignore interrupts; what they start must not.
REPRODUCE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from momentum_lib.cli import main
sys.exit(main())
"""


def start(root, *options, **streams):
    """Reproduce in another process. Nothing here waits for a time: only for a file, a word or an end."""
    command = [sys.executable, "-c", REPRODUCE, "reproduce", *options]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, **streams)


def stop(running, sign, root, once):
    """Send a signal once a file is there; the exit status, when every process it had started has ended."""
    while not list((root / ".momentum").glob(once)):
        assert running.poll() is None
        time.sleep(0.05)
    started = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(sign)
    psutil.wait_procs(started)
    return running.wait(), len(started)


def roll(root):
    write(root, "01_roll", IMPORTS, DRAW.format(name="a-ball", end="2.0"), WAIT)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("sign, status", [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_run_that_was_stopped_leaves_no_half_file_and_is_taken_up(root, capsys, sign, status):
    write(root, "01_roll", IMPORTS, DRAW.format(name="a-ball", end="2.0"), WAIT)
    before = tree(root)
    ended, kernels = stop(start(root), sign, root, once="run-*/01_roll/figures/a-ball.csv")
    assert ended == status and kernels
    assert tree(root) == before and not list((root / ".momentum").glob("*.json"))
    if sign == signal.SIGINT:  # an interrupt has the time to clean up
        assert not list((root / ".momentum").glob("*"))

    (root / "notebooks" / "go").touch()
    assert main(["reproduce"]) == 0
    assert "1 done" in capsys.readouterr().out and (root / "figures" / "a-ball.svg").is_file()
    assert not list((root / ".momentum").glob("run-*"))


# ------------------------------------------------------------------------------------------- long sweeps


def test_a_full_run_trains_once_and_a_plain_one_reads_its_results(root, capsys):
    pytest.importorskip("jax")
    long(root)
    first = tree(root)
    assert main(["reproduce"]) == 1
    assert "no notebooks/results/tiny.csv; run `momentum reproduce --full`" in capsys.readouterr().out

    # A check of a full run writes nothing; what it trained is kept, and the run itself need not train.
    assert main(["reproduce", "--full", "--check"]) == 0
    assert tree(root) == first and len(made := trainings(root)) == 3
    assert main(["reproduce", "--full"]) == 0
    assert "01_long: done" in capsys.readouterr().out and trainings(root) == made
    csv = root / "notebooks" / "results" / "tiny.csv"
    assert csv.read_text().startswith('# {"trials": 3, "settings": ')
    full = tree(root)
    assert set(full) - set(first) == {
        "notebooks/results/tiny.csv",
        "figures/README.md",
        "figures/explorer.html",
    }

    # It is remembered; so is a plain run after it, which reads what it left and shows the same.
    for options, status in ((["--full"], "current"), ([], "done"), ([], "current")):
        assert main(["reproduce", *options]) == 0
        assert f"01_long: {status}" in capsys.readouterr().out and tree(root) == full

    # Other results: a plain run is no longer up to date. A full one mends them, and need not train.
    csv.write_text(csv.read_text().replace("\n0.1,", "\n0.123,"))
    assert main(["reproduce"]) == 0
    assert "01_long: done" in capsys.readouterr().out
    assert "0.123" in (root / "notebooks" / "01_long.ipynb").read_text()
    assert main(["reproduce", "--full"]) == 0
    assert tree(root) == full and trainings(root) == made


def test_results_of_other_settings_are_refused_and_not_reused(root, capsys):
    pytest.importorskip("jax")
    long(root)
    assert main(["reproduce", "--full"]) == 0
    made, csv = trainings(root), root / "notebooks" / "results" / "tiny.csv"
    before = csv.read_text().splitlines()
    long(root, etas=(0.1, 0.2, 0.4))
    assert main(["reproduce"]) == 1
    assert "tiny.csv was made from other trials than these" in capsys.readouterr().out
    assert main(["reproduce", "--full"]) == 0
    assert len(trainings(root)) == 4 and trainings(root).items() > made.items()
    after = csv.read_text().splitlines()
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True, True, True, False]


def test_a_campaign_that_was_not_carried_out_fails_the_full_run(root, capsys):
    write(root, "01_long", "from momentum_lib.learning import measured\nif False:\n    measured('tiny', [])")
    before = tree(root)
    assert main(["reproduce", "--full"]) == 1
    assert "01_long names campaigns it did not write: tiny; call measured" in capsys.readouterr().out
    assert tree(root) == before


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_killed_full_run_goes_on(root):
    pytest.importorskip("jax")
    long(root, etas=(0.1, 0.2, 0.3, 0.4), then=WAIT)
    before = tree(root)
    ended, others = stop(start(root, "--full"), signal.SIGKILL, root, once="trainings/*.json")
    assert ended == -signal.SIGKILL and others > 1  # with it end the kernel, and the workers it had started
    assert tree(root) == before and len(made := trainings(root)) >= 1
    (root / "notebooks" / "go").touch()
    assert main(["reproduce", "--full"]) == 0
    assert len(trainings(root)) == 4 and trainings(root).items() >= made.items()
    assert len((root / "notebooks" / "results" / "tiny.csv").read_text().splitlines()) == 6
    assert not list((root / ".momentum").glob("run-*"))


def test_the_bar_says_how_far_a_campaign_is(root, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    tell = "open(os.environ['MOMENTUM_PROGRESS'], 'w').write('tiny 1/3')"
    write(root, "01_long", f"import os\n{tell}{WAIT}")
    running, shown = start(root, "--full", stderr=subprocess.PIPE), b""
    while b"01 cell 1/1 (tiny 1/3)" not in shown:
        assert (more := running.stderr.read1()), shown
        shown += more
    (root / "notebooks" / "go").touch()
    running.communicate()
    assert running.returncode == 0


def test_help_is_quick():
    code = (
        "import sys; from momentum_lib.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print([m for m in ('numpy', 'sympy', 'matplotlib', 'jax', 'nbclient') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "reproduce" in shown and shown.endswith("[]\n")


def test_normalizing_twice_changes_nothing_and_drops_what_is_of_this_run():
    cell = new_code_cell("1", execution_count=7, metadata={"tags": ["hide"], "execution": {"iopub": "2026"}})
    cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "1"}, execution_count=7)]
    cell.outputs[0].data["application/vnd.jupyter.widget-view+json"] = {"model_id": "c0ffee"}
    node = new_notebook(cells=[new_code_cell(""), cell], metadata={"widgets": {}, "momentum": {}})
    node = normalize(node)
    assert nbformat.writes(normalize(node)) == nbformat.writes(node)
    cell = node.cells[1]
    assert cell.metadata == {"tags": ["hide"]}
    assert cell.execution_count == cell.outputs[0].execution_count == 1
    assert list(cell.outputs[0].data) == ["text/plain"]
    assert set(node.metadata) == {"kernelspec", "language_info", "momentum"}

"""The command: what it lists, what it refuses, that reproducing is whole or nothing, that long runs go on."""

import ast
import base64
import errno
import importlib.util
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.image
import nbformat
import psutil
import pytest
from jupyter_client import AsyncKernelManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import momentum_lib
from momentum_lib.cli import main
from momentum_lib.collection import find_root
from momentum_lib.execution import normalize
from momentum_lib.learning import Classifier, Digits

AT = momentum_lib.heavy_ball.at(eta=0.1, gamma=0.9)
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
from momentum_lib.learning import Autoencoder, Curves, Trial, measured
task = Autoencoder(Curves(count=20, side=4), (4,), batch=None)
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
COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from momentum_lib.cli import main
sys.exit(main())
"""


def start(root, *arguments, **streams):
    """The command in another process. Nothing here waits for a time: only for a file, a word or an end."""
    command = [sys.executable, "-c", COMMAND, *arguments]
    streams = {"stdout": subprocess.DEVNULL, "start_new_session": True} | streams
    return subprocess.Popen(command, cwd=root, **streams)


def wait_for(root, once, *several):
    """Wait until a file of a run is there."""
    while not list((root / ".momentum").glob(once)):
        assert all(running.poll() is None for running in several)
        time.sleep(0.05)


def stop(running, sign, root, once, times=1):
    """Send a signal, as a terminal does, once a file is there; the status, when all it started has ended."""
    wait_for(root, once, running)
    started = psutil.Process(running.pid).children(recursive=True)
    for _ in range(times):
        os.killpg(running.pid, sign)
    psutil.wait_procs(started)
    return running.wait(), len(started)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    "sign, times, status",
    [(signal.SIGKILL, 1, -signal.SIGKILL), (signal.SIGINT, 1, 130), (signal.SIGINT, 3, 130)],
)
def test_a_run_that_was_stopped_leaves_no_half_file_and_is_taken_up(root, capfd, sign, times, status):
    write(root, "01_roll", IMPORTS, DRAW.format(name="a-ball", end="2.0"), WAIT)
    before = tree(root)
    running = start(root, "reproduce", stdout=None)
    ended, kernels = stop(running, sign, root, "run-*/01_roll/figures/a-ball.csv", times)
    assert ended == status and kernels
    assert tree(root) == before and not list((root / ".momentum").glob("*.json"))
    told = capfd.readouterr()
    if sign == signal.SIGINT:  # an interrupt has the time to clean up, and says one thing
        assert not list((root / ".momentum").glob("*"))
        assert told.out.startswith("momentum: interrupted;") and told.out.count("\n") == 1
        assert "Traceback" not in told.err

    (root / "notebooks" / "go").touch()
    assert main(["reproduce"]) == 0
    assert "1 done" in capfd.readouterr().out and (root / "figures" / "a-ball.svg").is_file()
    assert not list((root / ".momentum").glob("run-*"))


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_two_runs_at_once_end_well_and_leave_what_one_leaves(root):
    write(root, "01_roll", IMPORTS, DRAW.format(name="a-ball", end="2.0"), WAIT)
    both = [start(root, "reproduce") for _ in range(2)]
    for running in both:
        wait_for(root, f"run-{running.pid}/01_roll/figures/a-ball.csv", *both)
    (root / "notebooks" / "go").touch()
    assert [running.wait() for running in both] == [0, 0]
    left = tree(root)
    assert not [name for name in left if Path(name).name.startswith(".")]
    (root / ".momentum" / "01_roll.json").unlink()
    assert main(["reproduce"]) == 0 and tree(root) == left


@pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux")
def test_a_kernel_has_imported_what_several_notebooks_import_and_run_nothing(root):
    look = "import os, sys\nnames = 'numpy', 'pandas', 'sympy', 'jax', 'momentum_lib'\n"
    look += "[n for n in names if n in sys.modules], os.getppid(), globals().get('left'), '' in sys.path"
    write(root, "01_one", look, "import numpy, pandas, sympy, jax\nleft = numpy.random.rand()")
    write(root, "02_two", look, "import numpy, pandas, jax\nleft = numpy.random.rand()")
    assert main(["reproduce", "--jobs", "1"]) == 0
    one, two = (
        ast.literal_eval(nbformat.read(file, 4).cells[1].outputs[0].data["text/plain"])
        for file in sorted((root / "notebooks").glob("*.ipynb"))
    )
    assert one == two and (one[0], *one[2:]) == (["numpy"], None, True)


@pytest.mark.parametrize(("deaths", "status"), [(1, 0), (2, 1)])
def test_a_kernel_that_does_not_come_up_is_started_once_more(root, capsys, monkeypatch, deaths, status):
    start_kernel = AsyncKernelManager.start_kernel

    async def start(self, **told):
        nonlocal deaths
        deaths -= 1
        await start_kernel(self, **told)
        if deaths >= 0:
            os.kill(self.provisioner.pid, signal.SIGKILL)

    monkeypatch.setattr(AsyncKernelManager, "start_kernel", start)
    write(root, "01_one", "1")
    assert main(["reproduce"]) == status
    assert ("Kernel died before replying" in capsys.readouterr().out) == status


def test_a_picture_is_shown_as_large_as_its_figure(root):
    write(root, "01_one", "import matplotlib.pyplot as plt\nplt.subplots(figsize=(3, 2));")
    assert main(["reproduce"]) == 0
    (output,) = nbformat.read(root / "notebooks" / "01_one.ipynb", 4).cells[1].outputs
    picture = io.BytesIO(base64.b64decode(output.data["image/png"]))
    assert matplotlib.image.imread(picture).shape[:2] == (200, 300)


# ------------------------------------------------------------------------------------------------ faults


def test_a_notebook_that_fails_is_told_in_a_line_and_leaves_nothing_behind(root, capsys, monkeypatch):
    """A cell that raises, a kernel that dies, a cell without end, a state file that is broken."""
    monkeypatch.setattr("momentum_lib.execution.CELL_LIMIT", 2)
    write(root, "01_raises", "1", "1 / 0")
    write(root, "02_dies", "import os; os._exit(1)")
    write(root, "03_goes_on", "while True: pass")
    write(root, "04_good", "1")
    before = tree(root)
    (root / ".momentum").mkdir()
    for name, text in [("01_raises", ""), ("02_dies", "[]"), ("04_good", '{"files": {"a": 1}}')]:
        (root / ".momentum" / f"{name}.json").write_text(text)
    assert main(["reproduce", "--jobs", "4"]) == 1
    told = capsys.readouterr().out.splitlines()
    for line in (
        "01_raises: failed in \\d+ s; cell 2 raised ZeroDivisionError: division by zero",
        "02_dies: failed in \\d+ s; the kernel died in cell 1, killed or out of memory",
        "03_goes_on: failed in \\d+ s; cell 1 did not end within 2 s",
        "04_good: done in \\d+ s; figures: 0, new: cell 1",
    ):
        assert [found for found in told if re.fullmatch(line, found)], (line, told)
    after = tree(root)
    changed = {name for name in after if before.get(name) != after[name]}
    assert changed == {"notebooks/04_good.ipynb", "figures/README.md", "figures/explorer.html"}
    assert not psutil.Process().children(recursive=True)


@pytest.mark.parametrize("written", range(3))
def test_a_full_disk_is_met_before_anything_has_changed(root, capsys, monkeypatch, written):
    good(root)
    before, write_bytes, count = tree(root), Path.write_bytes, iter(range(100))

    def full(path, content):
        write_bytes(path, content[: len(content) // 2])
        if next(count) == written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(["reproduce"]) == 1
    assert "No space left on device" in capsys.readouterr().out
    assert tree(root) == before and not list((root / ".momentum").glob("*"))


@pytest.mark.parametrize("folder", ["figures", "notebooks"])
def test_a_folder_that_cannot_be_written_is_told_before_the_run(root, capsys, monkeypatch, folder):
    good(root)
    (root / "figures").mkdir()
    before = tree(root)
    monkeypatch.setattr("os.access", lambda path, _: Path(path).name != folder)  # root may write all
    assert main(["reproduce"]) == 1
    assert capsys.readouterr().err == f"momentum: {root / folder}: cannot be written.\n"
    assert tree(root) == before and not list(root.glob(".momentum/*"))


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs a second file system")
def test_a_run_goes_over_file_systems(root):
    good(root)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        assert os.stat(elsewhere).st_dev != os.stat(root).st_dev
        (root / ".momentum").symlink_to(elsewhere)
        assert main(["reproduce"]) == 0
        assert (root / "figures" / "a-ball.svg").is_file()


#: Brings up the one interface of a network of its own: 0x8914 sets flags, up and loopback.
ALONE = """
import fcntl, socket, struct
with socket.socket() as own:
    fcntl.ioctl(own, 0x8914, struct.pack("16sh", b"lo", 1 | 8))
"""

OFFLINE = """
import socket
from momentum_lib import explore, heavy_ball, report
try:
    socket.create_connection(("192.0.2.1", 80), timeout=5)
except OSError as error:
    print(error.strerror)
explore(heavy_ball).save("page.html")
report(heavy_ball).save("report.html");
"""


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode,
    reason="needs a network of its own (Linux: unshare)",
)
def test_with_the_network_cut_a_notebook_runs_and_reports(root):
    write(root, "01_alone", OFFLINE)
    cut = ["unshare", "-rn", sys.executable, "-c", ALONE + COMMAND, "reproduce"]
    done = subprocess.run(cut, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [output] = nbformat.read(root / "notebooks" / "01_alone.ipynb", as_version=4).cells[1].outputs
    assert output.text == "Network is unreachable\n"
    assert (root / "notebooks" / "page.html").is_file() and (root / "notebooks" / "report.html").is_file()


def test_two_megabytes_on_one_line_are_kept_as_they_are(root):
    """A pattern that starts at every character takes half an hour for them."""
    write(root, "01_long", "print('x' * 2_000_000)")
    assert main(["reproduce"]) == 0
    [output] = nbformat.read(root / "notebooks" / "01_long.ipynb", as_version=4).cells[1].outputs
    assert output.text == "x" * 2_000_000 + "\n"


def test_a_reader_that_has_read_enough_ends_the_list(root):
    running = start(root, "list", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    running.stdout.close()
    with running.stderr as complaints:
        assert complaints.read() == b"" and running.wait() == 141


def test_the_library_alone_lists_its_rules_and_says_where_the_notebooks_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("momentum_lib.cli.find_root", lambda: find_root(Path(tmp_path.anchor)))
    assert main(["list"]) == 0
    told = capsys.readouterr().out
    assert "heavy_ball(theta, v; eta, gamma)" in told and "run `momentum list` there" in told
    assert main(["reproduce"]) == 2 and "no pyproject.toml above" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command, module, extra",
    [("reproduce", "nbclient", "lab"), ("lab", "jupyterlab.labapp", "lab"), ("book", "sphinx", "book")],
)
def test_what_is_not_installed_is_named_with_what_to_run(root, monkeypatch, capsys, command, module, extra):
    """No index has this collection: it is installed from its folder."""
    monkeypatch.delitem(sys.modules, "momentum_lib.execution", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name == module else find(name, *a)
    )
    assert main([command]) == 2
    told = capsys.readouterr().err
    assert f"needs {module.partition('.')[0]}" in told and f"uv sync --extra {extra}" in told
    assert f"python -m pip install --editable '.[{extra}]'" in told and "momentum-lib[" not in told


@pytest.mark.parametrize(
    "call, library, extra",
    [
        (lambda: momentum_lib.as_torch(AT), "torch", "frameworks"),
        (lambda: momentum_lib.as_optax(AT), "optax", "learning"),
        (lambda: momentum_lib.as_keras(AT), "keras", "frameworks"),
        (lambda: momentum_lib.learning.sharpness(None, None), "jax", "learning"),
        (lambda: momentum_lib.learning.train(AT, Classifier(Digits(), (4,)), 1), "jax", "learning"),
        (lambda: momentum_lib.report(AT), "latex2mathml", "lab"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_a_function_whose_library_is_missing_says_how_to_get_it(monkeypatch, call, library, extra):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError, match=rf"needs {library}, .* uv sync --extra {extra}, or"):
        call()


# -------------------------------------------------------------------------------------- what is committed


def test_another_rounding_changes_no_file(root, capsys):
    """Numbers within tolerance and a picture that looks alike stay; what is more is written, and told."""
    figures = root / "figures"
    changes = {
        "number-near": ("csv", b"\n2\n", b"\n2.000001\n"),
        "drawing-near": ("svg", b"<path", b"<path "),
        "picture-near": ("png", 1, None),  # a thin line of another color is no rounding
        "number-off": ("csv", b"\n2\n", b"\n2.01\n"),
        "caption-off": ("csv", b"off", b"on"),
        "picture-off": ("png", 12, None),
    }
    write(root, "01_roll", IMPORTS, *(DRAW.format(name=name, end="2.0") for name in changes))
    assert main(["reproduce"]) == 0
    assert f"figures: 6, new: {', '.join(changes)}\n" in capsys.readouterr().out
    drawn = tree(root)
    for name, (kind, old, new) in changes.items():
        file = figures / f"{name}.{kind}"
        if kind == "png":
            picture = matplotlib.image.imread(file).copy()
            picture[200 : 200 + old, 300 : 300 + old, :3] = 0, 0, 1
            matplotlib.image.imsave(file, picture, origin="upper")
        else:
            assert old in (content := file.read_bytes())
            file.write_bytes(content.replace(old, new, 1))
    before = tree(root)
    (root / ".momentum" / "01_roll.json").unlink()
    assert main(["reproduce"]) == 0
    assert "figures: 6, new: number-off, caption-off, picture-off\n" in capsys.readouterr().out
    near = {f"figures/{name}.{kind}" for name, (kind, *_) in changes.items() if "near" in name}
    assert tree(root) == drawn | {name: before[name] for name in near}


def test_a_cell_keeps_its_committed_outputs_where_they_say_the_same(root, capsys):
    write(root, "01_show", "print(1.25)", "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    file = root / "notebooks" / "01_show.ipynb"
    assert main(["reproduce"]) == 0
    node = nbformat.read(file, as_version=4)
    png = base64.b64decode(node.cells[2].outputs[0].data["image/png"])
    faint = matplotlib.image.imread(io.BytesIO(png))
    matplotlib.image.imsave(packed := io.BytesIO(), 0.99 * faint, origin="upper")
    node.cells[2].outputs[0].data["image/png"] = base64.b64encode(packed.getvalue()).decode() + "\n"
    nbformat.write(node, file)
    assert packed.getvalue() != png
    kept = file.read_bytes()
    assert main(["reproduce"]) == 0
    assert "nothing new" in capsys.readouterr().out and file.read_bytes() == kept
    node.cells[1].outputs[0].text = "1.26\n"
    nbformat.write(node, file)
    assert main(["reproduce"]) == 0
    assert "new: cell 1\n" in capsys.readouterr().out
    assert file.read_bytes() == kept


SVG = '<p>{told}</p><svg><path id="p{id:010x}" d="M {place} 7"/><use clip="url(#p{id:010x})"/>{label}</svg>'


def test_a_drawing_inside_html_is_compared_but_for_its_last_digits(root, capsys):
    first = {"told": "1.25", "id": 6, "place": "10.125", "label": "0.5"}
    cell = f"from IPython.display import HTML\nHTML({SVG.format(**first)!r})"
    write(root, "01_show", *[cell] * 5)
    assert main(["reproduce"]) == 0
    node = nbformat.read(file := root / "notebooks" / "01_show.ipynb", as_version=4)
    others = [{"place": "10.2"}, {"place": "10.125 3"}, {"told": "1.26"}, {"label": "0.51"}]
    for cell, changed in zip(node.cells[1:], [{"place": "10.125001", "id": 7}, *others], strict=True):
        cell.outputs[0].data["text/html"] = SVG.format(**first | changed)
    nbformat.write(node, file)
    capsys.readouterr()
    assert main(["reproduce"]) == 0
    assert "new: cell 2, cell 3, cell 4, cell 5\n" in capsys.readouterr().out


COMPILED = """
import jax, jax.monitoring
found = []
jax.monitoring.register_event_listener(lambda name, **_: found.append(name.endswith("cache_hits")))
print(float(jax.jit(lambda x: x * x + {what})(3.0)), any(found))
"""


def test_what_jax_has_compiled_is_used_again_and_never_for_another_program(root):
    kept, told = root / ".momentum" / "compiled" / "01_jit", []
    for what in (1, 2):
        write(root, "01_jit", COMPILED.format(what=what), requires=["jax"])
        assert main(["reproduce", "--check"]) == 0
        before = {file.name: file.stat().st_size for file in kept.iterdir()}
        assert main(["reproduce"]) == 0
        assert {file.name: file.stat().st_size for file in kept.iterdir()} == before
        told.append(nbformat.read(root / "notebooks" / "01_jit.ipynb", 4).cells[1].outputs[0].text)
    assert told == ["10.0 True\n", "11.0 True\n"]
    assert not list(kept.parent.glob(".*"))


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

    # Other settings: what was made from the old ones is refused; a full run trains what is new.
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
    ended, others = stop(start(root, "reproduce", "--full"), signal.SIGKILL, root, "trainings/*.json")
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
    running, shown = start(root, "reproduce", "--full", stderr=subprocess.PIPE), b""
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


def test_a_run_starts_without_what_no_notebook_is_held_against():
    code = (
        "import sys, momentum_lib.execution; print([m for m in ('lark', 'jsonschema') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "['jsonschema']\n"


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

"""A sweep on a real cluster: schedulers and workers in processes of their own, one of them killed midway."""

import ast
import inspect
import os
import re
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from momentum_lib import heavy_ball
from momentum_lib.problems import Noisy, Quadratic
from momentum_lib.sweeps import TOO_MANY, sweep

PAGE = (Path(__file__).parent.parent / "book" / "past_one_machine.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, flags=re.DOTALL))

GRID = {"eta": np.linspace(0.1, 4.0, 40), "gamma": np.linspace(0.0, 0.99, 50)}
SWEEP = partial(
    sweep, heavy_ball, Noisy(Quadratic([1.0, 0.1]), 0.1), 50, GRID, seeds=[0, 1], chunk=100, progress=False
)


def final(out):
    return np.linalg.norm(out.theta[-1], axis=-1)


def deadly(out, folder):
    """`final`, leaving a file at every call; at the tenth the worker that has it is killed."""
    calls = len([*folder.glob("call-*")])
    if calls >= 10 and not (folder / "killed").exists():
        (folder / "killed").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"call-{os.getpid()}-{calls}").touch()
    return final(out)


@pytest.fixture(scope="module", params=[3, 0], ids=["Dask tries again", "Dask gives up"])
def cluster(request):
    dask = pytest.importorskip("dask", reason="needs distributed (extra cluster)")
    LocalCluster = pytest.importorskip("distributed", reason="needs distributed (extra cluster)").LocalCluster

    with dask.config.set({"distributed.scheduler.allowed-failures": request.param}):
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            yield cluster


@pytest.mark.filterwarnings("default")  # Dask's own, of a worker that is gone
def test_a_worker_killed_midway_changes_no_bit(cluster, tmp_path):
    here = SWEEP(measure={"final": final})
    with cluster.get_client() as client:
        workers = {*client.run(os.getpid).values()}
        measure = {"final": partial(deadly, folder=tmp_path)}
        there = SWEEP(measure=measure, executor=client.get_executor(), folder=tmp_path / "kept")
    assert there.equals(here)
    calls = [int(file.name.split("-")[1]) for file in tmp_path.glob("call-*")]
    assert int((tmp_path / "killed").read_text()) in workers and len(workers) == 2
    print(f"{len(calls) - 40} of 40 chunks carried again")
    assert len([*tmp_path.rglob("*.npz")]) == 40 <= len(calls) < 80


@pytest.mark.filterwarnings("default")
def test_a_lambda_travels_and_an_error_comes_back(cluster):
    with cluster.get_client() as client:
        there = SWEEP(measure={"final": lambda out: final(out)}, executor=client.get_executor())
        assert there.equals(SWEEP(measure={"final": final}))
        with pytest.raises(ZeroDivisionError) as caught:
            SWEEP(measure=lambda out: 1 // 0, executor=client.get_executor())
    assert "1 // 0" in caught.value.__notes__[0]


def called(name, call):
    """The arguments by name that a file of the page hands to a class."""
    [found] = [
        node
        for node in ast.walk(ast.parse(FILES[name]))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == call
    ]
    return {keyword.arg: ast.literal_eval(keyword.value) for keyword in found.keywords}


def test_the_sweep_on_the_page_runs_in_parts_and_goes_on(tmp_path):
    names = {}
    exec(FILES["atlas"], names)
    cells = [*names["best"](40, 4, 20, folder=tmp_path)]
    [whole] = names["best"](40, 1, 20)
    assert len(cells) == len([*tmp_path.iterdir()]) == 4
    assert min(cell["value"] for cell in cells) == whole["value"]


@pytest.mark.parametrize("name", ["here", "on_slurm", "on_kubernetes"])
def test_every_file_of_the_page_asks_for_the_sweep_as_it_is(name):
    names = {}
    exec(FILES["atlas"], names)
    tree = ast.parse(FILES[name])
    [call] = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "best"]
    inspect.signature(names["best"]).bind(*call.args)
    size, parts = (ast.literal_eval(argument) for argument in call.args[:2])
    assert -(-size // parts) * size <= TOO_MANY


def test_slurm_is_handed_what_the_page_says():
    jobqueue = pytest.importorskip("dask_jobqueue", reason="needs dask_jobqueue, beside the extra cluster")
    quiet = {"dashboard_address": ":0"}  # whatever port is free
    with jobqueue.SLURMCluster(**called("on_slurm", "SLURMCluster"), scheduler_options=quiet) as cluster:
        script = cluster.job_script()
    asked = ["-p short", "--cpus-per-task=16", "-t 01:00:00", "OMP_NUM_THREADS=1"]
    asked += ["--nthreads 1", "--nworkers 16", "--lifetime 55m --lifetime-stagger 4m"]
    assert [line for line in asked if line not in script] == []


def test_kubernetes_is_handed_what_the_page_says():
    operator = pytest.importorskip(
        "dask_kubernetes.operator", reason="needs dask_kubernetes, beside the extra cluster"
    )
    worker = operator.make_cluster_spec(**called("on_kubernetes", "KubeCluster"))["spec"]["worker"]
    [container] = worker["spec"]["containers"]
    assert worker["replicas"] == 40 and container["args"][:4] == ["dask", "worker", "--nthreads", "1"]
    assert {"name": "OMP_NUM_THREADS", "value": "1"} in container["env"]

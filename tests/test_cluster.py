"""A sweep on a real cluster: schedulers and workers in processes of their own, one of them killed midway."""

import importlib.util
import os
import signal
from functools import partial

import numpy as np
import pytest

from momentum_lib import heavy_ball
from momentum_lib.problems import Noisy, Quadratic
from momentum_lib.sweeps import sweep

if not importlib.util.find_spec("distributed"):
    pytest.skip("needs distributed (extra cluster)", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("default")  # Dask's own, of a worker that is gone

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
    import dask
    from distributed import LocalCluster

    with dask.config.set({"distributed.scheduler.allowed-failures": request.param}):
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            yield cluster


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


def test_a_lambda_travels_and_an_error_comes_back(cluster):
    with cluster.get_client() as client:
        there = SWEEP(measure={"final": lambda out: final(out)}, executor=client.get_executor())
        assert there.equals(SWEEP(measure={"final": final}))
        with pytest.raises(ZeroDivisionError) as caught:
            SWEEP(measure=lambda out: 1 // 0, executor=client.get_executor())
    assert "1 // 0" in caught.value.__notes__[0]

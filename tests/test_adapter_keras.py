"""A rule under Keras lives as Keras's own optimizers do, on each backend: scheduled, wrapped, saved."""

import functools
import importlib.util
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

HELPER = Path(__file__).with_name("habits_keras.py")
HABITS = runpy.run_path(str(HELPER))["HABITS"]


@functools.cache
def habits(backend):
    """What each habit came to, in one process a backend: Keras takes one backend a process."""
    environment = os.environ | {"KERAS_BACKEND": backend, "JAX_ENABLE_X64": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, str(HELPER)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["backend"] == backend
    return answer["found"]


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_keras(backend, habit):
    for library in ("keras", backend):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed (extra frameworks)")
    assert habits(backend)[habit] is None, habits(backend)[habit]

"""Loaded once by the process that graders are forked from: what checks and submissions load."""

import matplotlib.pyplot
import pandas
import scipy.integrate
import scipy.linalg
import scipy.optimize
import scipy.signal
import scipy.sparse.linalg
import sympy

from momentum_lib import exercises

LOADED = [matplotlib.pyplot, pandas, scipy.integrate, scipy.linalg, scipy.optimize, scipy.signal, sympy]
LOADED += [getattr(exercises, name) for name in dir(exercises)]

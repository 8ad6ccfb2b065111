"""Loaded once by the process that graders are forked from: what checks and submissions load."""

import matplotlib.pyplot
import pandas
import scipy.integrate
import scipy.optimize
import sympy

from momentum_lib import exercises

LOADED = [matplotlib.pyplot, pandas, scipy.integrate, scipy.optimize, sympy]
LOADED += [getattr(exercises, name) for name in dir(exercises)]

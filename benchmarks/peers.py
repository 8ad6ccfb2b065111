"""The peers in numba, by hand: fused, in blocks, without a check."""

import math

import numba
import numpy as np


@numba.njit
def hitting(eta, gamma, lam, tol, cap):
    """First step at which heavy ball from all ones is within tol; inf beyond cap. Steps every cell."""
    out = np.full(eta.size, np.inf)
    theta, v = np.empty(lam.size), np.empty(lam.size)
    level = tol * tol * lam.size
    for i in range(eta.size):
        theta[:], v[:] = 1.0, 0.0
        for t in range(1, cap + 1):
            square = 0.0
            for k in range(lam.size):
                v[k] = gamma[i] * v[k] + eta[i] * lam[k] * theta[k]
                theta[k] -= v[k]
                square += theta[k] * theta[k]
            if square <= level:
                out[i] = t
                break
            if not square < 1e300:
                break
    return out


@numba.njit
def radius(eta, gamma, lam):
    """Heavy ball's spectral radius from trace and determinant."""
    out = np.empty(eta.size)
    for i in range(eta.size):
        half, det = (1 + gamma[i] - eta[i] * lam) / 2, gamma[i]
        out[i] = max(abs(half) + math.sqrt(max(half * half - det, 0.0)), math.sqrt(max(det, 0.0)))
    return out


@numba.njit
def noisy(eta, gamma, lam, drawn):
    """Heavy ball under given noise, one mode a column."""
    out = np.empty((len(drawn) + 1, lam.size))
    theta, v = np.ones(lam.size), np.zeros(lam.size)
    out[0] = theta
    for t in range(len(drawn)):
        for k in range(lam.size):
            v[k] = gamma * v[k] + eta * (lam[k] * theta[k] + drawn[t, k])
            theta[k] -= v[k]
            out[t + 1, k] = theta[k]
    return out


@numba.njit
def mean_square(eta, gamma, lam, sigma, steps):
    """E theta² of heavy ball from 1: the three second moments, stepped."""
    out = np.empty(steps + 1)
    a, b, c, p, q, push = 1.0, 0.0, 0.0, 1 - eta * lam, eta * lam, (eta * sigma) ** 2
    out[0] = a
    for t in range(steps):
        a, b, c = (
            p * p * a - 2 * p * gamma * b + gamma * gamma * c + push,
            p * q * a + gamma * (p - q) * b - gamma * gamma * c - push,
            q * q * a + 2 * gamma * q * b + gamma * gamma * c + push,
        )
        out[t + 1] = a
    return out


@numba.njit
def sampled(eta, gamma, lam, sigma, steps, seeds):
    """The same by sampling."""
    out = np.ones(steps + 1)
    theta, v = np.ones(seeds), np.zeros(seeds)
    for t in range(steps):
        total = 0.0
        for k in range(seeds):
            v[k] = gamma * v[k] + eta * (lam * theta[k] + sigma * np.random.standard_normal())
            theta[k] -= v[k]
            total += theta[k] * theta[k]
        out[t + 1] = total / seeds
    return out


def descend(slopes):
    """Heavy ball on a function of the plane over a grid, in blocks of cells that stay in registers and L1."""
    slopes = numba.njit(inline="always", error_model="numpy")(slopes)

    @numba.njit(error_model="numpy")
    def blocks(eta, gamma, start, steps):
        out, work, size = np.empty((eta.size, 2)), np.empty((6, 256)), 256
        x, y, vx, vy, e, g = work[0], work[1], work[2], work[3], work[4], work[5]
        for low in range(0, eta.size, size):
            count = min(size, eta.size - low)
            x[:], y[:], vx[:], vy[:] = start[0], start[1], 0.0, 0.0
            e[:count], g[:count] = eta[low : low + count], gamma[low : low + count]
            for _ in range(steps):
                for i in range(size):
                    a, b = slopes(x[i], y[i])
                    vx[i] = g[i] * vx[i] + e[i] * a
                    vy[i] = g[i] * vy[i] + e[i] * b
                    x[i] -= vx[i]
                    y[i] -= vy[i]
            out[low : low + count, 0], out[low : low + count, 1] = x[:count], y[:count]
        return out

    return blocks


def rosenbrock(x, y):
    """The gradient."""
    rise = y - x * x
    return -400 * x * rise - 2 * (1 - x), 200 * rise


def beale(x, y):
    """The gradient, multiplied out."""
    y2 = y * y
    a, b, c = y - 1, y2 - 1, y2 * y - 1
    r, s, t = 1.5 + x * a, 2.25 + x * b, 2.625 + x * c
    return 2 * (r * a + s * b + t * c), 2 * x * (r + 2 * y * s + 3 * y2 * t)


@numba.njit
def two_coordinates(eta, gamma, lam, steps):
    """Heavy ball on a quadratic of two coordinates, every iterate kept."""
    out = np.ones((steps + 1, 2))
    v = np.zeros(2)
    for t in range(steps):
        for k in range(2):
            v[k] = gamma * v[k] + eta * lam[k] * out[t, k]
            out[t + 1, k] = out[t, k] - v[k]
    return out

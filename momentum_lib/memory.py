"""Memory: what would not fit is refused before it is begun, with its size and the remedy."""

from __future__ import annotations

import math
import os

__all__ = ["free_memory", "refuse_too_large"]


def free_memory() -> float:
    """Bytes that are free. Without psutil all there are, infinitely many where the system does not tell."""
    try:
        import psutil
    except ImportError:
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return math.inf
    return float(psutil.virtual_memory().available)


def refuse_too_large(nbytes: float, what: str, remedy: str) -> None:
    """Refuse what takes more than four fifths of the free memory.

    Raises
    ------
    ValueError
        It does not fit; the message says how much it takes and `remedy`.

    Examples
    --------
    >>> refuse_too_large(2**20, "the recording", "take a larger every=")
    """
    if nbytes < 2**28:  # asking the system costs more than a quarter of a GiB is worth
        return
    free = free_memory()
    if nbytes > 0.8 * free:
        raise ValueError(
            f"{what} takes {nbytes / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free; {remedy}."
        )

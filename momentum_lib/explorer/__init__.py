"""A page to play with any rule: its update printed from its own lines, as widget and as one file."""

from momentum_lib.explorer.page import Explorer, explore

__all__ = ["Explorer", "explore"]

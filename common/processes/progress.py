"""Progress bars: live on a terminal, a line now and then in a log file."""

import collections.abc
import sys
import typing

import tqdm

TERMINAL_INTERVAL = 0.5
LOG_INTERVAL = 30.0
"""[s] at least between two states that are shown."""


def make_bar(items: collections.abc.Iterable | None = None, **options: typing.Any) -> tqdm.tqdm:
    """A progress bar on standard error.

    Args:
        items: what to go through; without, the caller updates the bar.
        options: as ``tqdm.tqdm`` takes them, e.g. ``total``, ``desc``, ``unit``.
    """
    return tqdm.tqdm(items, mininterval=TERMINAL_INTERVAL if sys.stderr.isatty() else LOG_INTERVAL, **options)

"""The script that was started, and whether processes it starts have to import it again, with all its libraries."""

import collections.abc
import contextlib
import pickle
import sys
import typing


def is_of_main_module(value: typing.Any) -> bool:
    """Whether a process that is sent this value needs the script: something in it is defined there."""
    return b"__main__" in pickle.dumps(value)


@contextlib.contextmanager
def spare_main_module() -> collections.abc.Iterator[None]:
    """Processes that ``multiprocessing`` starts in this block, by spawn or forkserver, do not import the script.

    By itself each of them does, in case that it is sent something defined there, and has all the script's libraries in
    memory. In this block it loads the modules of what it is sent, and no more: nothing of the script can be sent to it.
    """
    main = sys.modules["__main__"]
    names = ("__spec__", "__file__")  # by which multiprocessing finds the script
    before = {name: getattr(main, name) for name in names if hasattr(main, name)}
    main.__spec__ = None
    main.__file__ = None
    try:
        yield
    finally:
        for name in names:
            if name in before:
                setattr(main, name, before[name])
            else:
                delattr(main, name)

"""Lines that stages print: the next command, and what was left out."""

import collections.abc
import difflib
import os
import pathlib
import shlex
import sys


def format_command(*words: str | os.PathLike) -> str:
    """A command line that can be pasted: the interpreter as it was called here, then words, quoted where they must be.

    Args:
        words: e.g. the path of a script, its options and their values.
    """
    return shlex.join([sys.orig_argv[0], *(str(os.fspath(word)) for word in words)])


def suggest_command(
    script: str,
    options: collections.abc.Mapping[str, tuple[str | os.PathLike, str | os.PathLike]],
    *arguments: str | os.PathLike,
) -> str:
    """The command to run next, as a line that can be pasted where this one was called.

    Args:
        script: file name of the stage; it lies beside the one that is running.
        options: by name, the value that fits what was written and the stage's default; a default is left out.
        arguments: what comes before the options.
    """
    path = pathlib.Path(sys.argv[0]).with_name(script)
    needed = [word for name, (value, default) in options.items() if value != default for word in (name, value)]
    return f"next: {format_command(path, *arguments, *needed)}"


def point_to_report(report: str | os.PathLike) -> str:
    """The last line of a stage after which no other comes: the page to open."""
    return f"read: {os.fspath(report)} (in a browser)"


def format_left_out(counts: collections.abc.Mapping[str, int]) -> str:
    """The end of a line that counts what was kept, e.g. "; left out: 3 seen before"; nothing where nothing was."""
    parts = [f"{count} {what}" for what, count in counts.items() if count]
    return f"; left out: {', '.join(parts)}" if parts else ""


def suggest_name(name: str, known: collections.abc.Iterable[str]) -> str:
    """The end of a message about an unknown name, e.g. "; did you mean 'Bonds'? There are Angles, Bonds"."""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1, 0.6)
    return (f"; did you mean {near[0]!r}?" if near else ";") + f" there are {', '.join(known)}"

"""Lines that stages print: the next command, and what was left out."""

import collections.abc
import difflib
import pathlib
import shlex


def suggest_command(script: str, options: collections.abc.Mapping[str, tuple[pathlib.Path, pathlib.Path]]) -> str:
    """The command to run next.

    Args:
        script: file name of the stage.
        options: by name, the value that fits what was written and the stage's default; a default is left out.
    """
    needed = [f"{name} {shlex.quote(str(value))}" for name, (value, default) in options.items() if value != default]
    return " ".join(["next: python", script, *needed])


def format_left_out(counts: collections.abc.Mapping[str, int]) -> str:
    """The end of a line that counts what was kept, e.g. "; left out: 3 seen before"; nothing where nothing was."""
    parts = [f"{count} {what}" for what, count in counts.items() if count]
    return f"; left out: {', '.join(parts)}" if parts else ""


def suggest_name(name: str, known: collections.abc.Iterable[str]) -> str:
    """The end of a message about an unknown name, e.g. "; did you mean 'Bonds'? There are Angles, Bonds"."""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1, 0.6)
    return (f"; did you mean {near[0]!r}?" if near else ";") + f" there are {', '.join(known)}"

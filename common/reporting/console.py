"""Lines that stages print: the next command, and what was left out."""

import collections.abc
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

"""Disks on which nothing can be written, or next to nothing; where the tests may mount them."""

import pathlib
import subprocess

import pytest


def mount(*arguments: str, path: pathlib.Path) -> None:
    """Mounts something at a path, or skips the test where that is not allowed."""
    path.mkdir(exist_ok=True)
    try:
        done = subprocess.run(["mount", *arguments, str(path)], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")

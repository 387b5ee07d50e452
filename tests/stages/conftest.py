"""Fixtures of the tests of stages: disks that are full or read-only."""

import collections.abc
import os
import pathlib
import subprocess

import pytest

from tests.stages.disks import mount

SMALL_DISK = "64k"
"""Less than any stage writes."""


@pytest.fixture
def small_disk(tmp_path) -> collections.abc.Iterator[pathlib.Path]:
    path = tmp_path / "small"
    mount("-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", path=path)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def read_only(tmp_path) -> collections.abc.Iterator[pathlib.Path]:
    """A folder that nobody may write to: by its permissions, or, as these do not bind root, by its file system."""
    path = tmp_path / "read-only"
    path.mkdir(mode=0o555)
    is_root = os.access(path, os.W_OK)
    if is_root:
        mount("-t", "tmpfs", "-o", "ro", "tmpfs", path=path)
    yield path
    if is_root:
        subprocess.run(["umount", "--lazy", str(path)], check=True)

"""Versions: those of the packages that are installed, and what is said where one is not."""

import importlib.metadata
import platform
import re
import subprocess

from common.files import provenance
from common.files.provenance import describe_versions


def test_versions_are_those_that_are_installed():
    versions = describe_versions()
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == importlib.metadata.version("torch")
    assert re.fullmatch(r"unknown|[0-9a-f]{12,}(-dirty)?|.+-g[0-9a-f]+(-dirty)?", versions["revision"])


def test_a_package_that_is_not_there_is_called_so(monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGES", ("no-such-package",))
    assert describe_versions()["no-such-package"] == "not installed"


def test_without_git_the_revision_is_unknown(monkeypatch):
    def fail(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", fail)
    assert describe_versions()["revision"] == "unknown"

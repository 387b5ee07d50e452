"""With which versions something was made."""

import importlib.metadata
import pathlib
import platform
import subprocess

PACKAGES = ("torch", "numpy", "scipy", "rdkit", "datasets", "pyarrow", "openff-nagl-models", "clarabel")
"""Distributions whose versions a run records."""


def describe_versions() -> dict[str, str]:
    """Versions of Python, of the packages that matter, and of this repository (git revision), where known."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    versions["revision"] = _describe_revision()
    return versions


def _describe_revision() -> str:
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=pathlib.Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return result.stdout.strip()

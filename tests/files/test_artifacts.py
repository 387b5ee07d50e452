"""Errors of artifacts: what they are caught as, and what is left of them after a journey between processes."""

import pickle

import pytest

from common.files.artifacts import ArtifactError, MissingArtifactError
from common.processes.pool import run_in_processes


def fail(_: int) -> None:
    raise MissingArtifactError("x.pt: no such file", "parameters", "run", detail=", or wait")


def test_what_is_missing_is_a_missing_file_and_a_bad_value():
    with pytest.raises(FileNotFoundError, match=r"^x\.pt: no such file$"):
        fail(0)
    with pytest.raises(ArtifactError):
        fail(0)
    assert not isinstance(ArtifactError("x", "run"), OSError)


@pytest.mark.parametrize("kind", [ArtifactError, MissingArtifactError])
def test_an_error_survives_being_sent(kind):
    error = pickle.loads(pickle.dumps(kind("x.pt: gone", "parameters", "run", detail=", or wait")))
    assert type(error) is kind
    assert (str(error), error.artifacts, error.detail) == ("x.pt: gone", ("parameters", "run"), ", or wait")


def test_an_error_of_a_worker_keeps_its_artifacts():
    with pytest.raises(MissingArtifactError, match="no such file") as caught:
        list(run_in_processes(fail, [1, 2], 2, [1, 1], "failing", "item"))
    assert caught.value.artifacts == ("parameters", "run")


def test_a_missing_artifact_can_be_made_by_name_alone():
    """As tblib does, which Parsl brings along and which takes over the pickling of all errors in its process."""
    error = MissingArtifactError("x.pt: gone", "run")
    copy = MissingArtifactError.__new__(MissingArtifactError)
    copy.__dict__.update(error.__dict__)
    copy.args = error.args
    assert (str(copy), copy.artifacts) == ("x.pt: gone", ("run",))

"""Errors of artifacts: which one cannot be used, and why.

What to do about it, to run the stage that makes the artifact, is added by the frame of a stage
(``common/processes/stage.py``), which alone knows what the stages are called.
"""


class ArtifactError(ValueError):
    """An artifact cannot be used: it is damaged, of another format, or was not made for the others.

    Attributes:
        artifacts: what has to be made again, in this order, by its names in the table of the frame of a stage.
        detail: what follows the names of the stages in the advice, e.g. ", or name another file with --parameters".
    """

    def __init__(self, message: str, *artifacts: str, detail: str = ""):
        """Says in ``message`` which file is wrong, and how."""
        super().__init__(message)
        self.artifacts = artifacts
        self.detail = detail


class MissingArtifactError(ArtifactError, FileNotFoundError):
    """There is no such artifact: it has not been made, or lies elsewhere."""

    def __new__(cls, *args: object, **kwargs: object) -> "MissingArtifactError":
        """By OSError, whose fields it has: libraries that send errors between processes call this by its name."""
        return OSError.__new__(cls)

    def __init__(self, message: str, *artifacts: str, detail: str = ", or say where its output is"):
        """Says in ``message`` which file is missing."""
        super().__init__(message, *artifacts, detail=detail)

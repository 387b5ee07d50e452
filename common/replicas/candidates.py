"""What is evaluated side by side, by the words of a command line.

RUN                   what a run of pretraining or of stability training wrote in the end; of a folder of runs the
                      latest that has ended
RUN@cycle2            after a cycle of stability training; RUN@cycle2-epoch3 after an epoch of learning in it
pre                   what the first RUN of stability training on the command line started from
FILE.pt               a neural potential, or a force field that knows the molecule
"""

import dataclasses
import pathlib

from common.files.artifacts import MissingArtifactError
from common.potentials.pretraining import POTENTIAL
from common.runs.folder import read_config, resolve_run
from common.runs.names import label_runs

FORCE_FIELD = "force-field.pt"
"""What a fit of a force field calls its own."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A potential with a name for figures and folders."""

    name: str
    path: pathlib.Path


def find_candidates(words: tuple[str, ...]) -> list[Candidate]:
    """The candidates of a command line, in its order.

    Raises:
        ValueError: nothing is named, or a word names nothing; the message says what there is.
        MissingArtifactError: a run or file is missing.
    """
    if not words:
        raise ValueError("name at least one potential: a run folder, RUN@cycle1, pre, or a .pt file")
    paths = [_find(word, words) for word in words]
    places = list(dict.fromkeys(word.partition("@")[0] for word in words))
    labels = dict(zip(places, label_runs([_name(place) for place in places]), strict=True))
    names: list[str] = []
    for word in words:
        place, _, point = word.partition("@")
        name = f"{labels[place].removesuffix('.pt')}{'-' if point else ''}{point}"
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return [Candidate(name, path) for name, path in zip(names, paths, strict=True)]


def _name(place: str) -> str:
    """Of a run its folder's; of a folder of runs that of the latest; else as it is called."""
    path = pathlib.Path(place)
    return _resolve(path).name if path.is_dir() and _find_result(path) is None else path.name


def _resolve(path: pathlib.Path) -> pathlib.Path:
    """A run as it is; of a folder of runs the latest that has ended."""
    try:
        return resolve_run(path)
    except MissingArtifactError as error:
        raise MissingArtifactError(f"{path}: no run here has ended; go on with one by --resume", "potential") from error


def find_potential(path: pathlib.Path) -> pathlib.Path:
    """The file of a potential: itself, or what a run wrote in the end; of a folder of runs, the latest.

    Raises:
        MissingArtifactError: there is no such file or run, or the run has not ended.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise MissingArtifactError(f"{path}: no such run or file", "potential")
    if (found := _find_result(path)) is not None:
        return found
    folder = _resolve(path)
    if (found := _find_result(folder)) is None:
        raise MissingArtifactError(
            f"{folder}: holds neither {POTENTIAL} nor {FORCE_FIELD}; the run has not ended", "potential"
        )
    return found


def _find_result(folder: pathlib.Path) -> pathlib.Path | None:
    paths = [folder / name for name in (POTENTIAL, FORCE_FIELD) if (folder / name).is_file()]
    return paths[0] if paths else None


def _find(word: str, words: tuple[str, ...]) -> pathlib.Path:
    if word == "pre":
        return _find_start(words)
    place, separator, point = word.partition("@")
    if not separator:
        return find_potential(pathlib.Path(place))
    folder = pathlib.Path(place)
    if folder.is_file():
        raise ValueError(f"{word}: {place} is a file, and only a run has {point!r}")
    folder = _resolve(folder)
    path = folder / "potentials" / f"{point}.pt"
    if not path.is_file():
        there = sorted(one.stem for one in (folder / "potentials").glob("*.pt"))
        raise ValueError(f"{word}: the run has no {point!r}; there are {', '.join(there) or 'none'}")
    return path


def _find_start(words: tuple[str, ...]) -> pathlib.Path:
    for word in words:
        folder = pathlib.Path(word.partition("@")[0])
        if word != "pre" and folder.is_dir() and (potential := read_config(_resolve(folder)).get("potential")):
            return find_potential(pathlib.Path(potential))
    raise ValueError("pre: is what a run of stability training started from; name such a run beside it")

"""A trained generator as a file: plain values and tensors, nothing that has to be trusted.

``torch.load(weights_only=True)`` reads it. Beside the network it holds what its conditions mean: units, the fits that
relative energies come from, and the range of the training data, beyond which a target is a guess.
"""

import dataclasses
import os
import pathlib
import typing
from collections.abc import Mapping

from common.files.atomic import replace_atomically
from common.files.tensor_file import read_tensors, write_tensors
from common.generators.conditions import CompositionFit, Condition
from common.generators.network import GeneratorNetwork, NetworkSettings

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class TrainedGenerator:
    """A network and what it was trained on.

    Attributes:
        network: with the weights that generate.
        units: of the conditions, by name; "" where there is none.
        ranges: of the training data, the least and the largest value of each scalar condition.
        fits: of the conditions that are relative to the composition.
        may_omit: conditions may be left out: the network was trained with some of them untold.
        max_atoms: of a training molecule.
        origin: what names the training, e.g. the fingerprint of data and settings.
    """

    network: GeneratorNetwork
    units: Mapping[str, str]
    ranges: Mapping[str, tuple[float, float]]
    fits: Mapping[str, CompositionFit]
    may_omit: bool
    max_atoms: int
    origin: str


def save_generator(path: str | os.PathLike, generator: TrainedGenerator) -> None:
    """Writes the file, in place of what stands at ``path``."""
    plain = {
        "format": FORMAT,
        "settings": dataclasses.asdict(generator.network.settings),
        "weights": {name: tensor.cpu() for name, tensor in generator.network.state_dict().items()},
        "units": dict(generator.units),
        "ranges": {name: list(range_) for name, range_ in generator.ranges.items()},
        "fits": {name: dataclasses.asdict(fit) for name, fit in generator.fits.items()},
        "may_omit": generator.may_omit,
        "max_atoms": generator.max_atoms,
        "origin": generator.origin,
    }
    with replace_atomically(path) as beside:
        write_tensors(plain, beside)


def load_generator(path: str | os.PathLike) -> TrainedGenerator:
    """Reads what :func:`save_generator` wrote; the network is on the processor.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or of another format.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no generator here; train one, or say which run has one")
    try:
        plain: dict[str, typing.Any] = read_tensors(path)
    except ValueError as error:
        raise ValueError(f"{path}: no generator, or a damaged one ({error})") from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise ValueError(f"{path}: no generator of format {FORMAT}; train it again")
    try:
        settings = read_network_settings(plain["settings"])
        network = GeneratorNetwork(settings)
        network.load_state_dict(plain["weights"])
        return TrainedGenerator(
            network.eval().requires_grad_(False),
            plain["units"],
            {name: (low, high) for name, (low, high) in plain["ranges"].items()},
            {name: CompositionFit(tuple(fit["weights"]), fit["constant"]) for name, fit in plain["fits"].items()},
            plain["may_omit"],
            plain["max_atoms"],
            plain["origin"],
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: damaged ({error})") from error


def read_network_settings(plain: Mapping[str, typing.Any]) -> NetworkSettings:
    """Settings from what ``dataclasses.asdict`` makes of them."""
    conditions = tuple(Condition(**condition) for condition in plain["conditions"])
    return NetworkSettings(**{**plain, "types": tuple(plain["types"]), "conditions": conditions})

"""The file of a neural potential: plain values and tensors, read without trust; and any potential by its file."""

import dataclasses
import os
import pathlib
import typing

import torch

from common.files.atomic import replace_atomically
from common.files.tensor_file import read_tensors, write_tensors
from common.forcefields.parameter_file import load_parameters
from common.neural.atom_energies import AtomEnergyNetwork, read_settings
from common.potentials.neural import NeuralPotential
from common.potentials.potential import Potential
from common.potentials.smirnoff import SmirnoffPotential

FORMAT = 1
"""Version of the layout that this code writes and reads."""

KIND = "neural potential"


@dataclasses.dataclass(frozen=True)
class NetworkFile:
    """What the file of a neural potential holds.

    Attributes:
        network: the settings and weights.
        reference_energies: [kcal/mol] by atomic number, of which sums were subtracted before training.
        provenance: plain values: from what it was trained, and how.
    """

    network: AtomEnergyNetwork
    reference_energies: dict[int, float]
    provenance: dict[str, typing.Any]


def save_network(path: str | os.PathLike, contents: NetworkFile) -> None:
    """Writes the file, whole or not at all."""
    plain = {
        "format": FORMAT,
        "kind": KIND,
        "settings": dataclasses.asdict(contents.network.settings),
        "weights": {name: value.detach().cpu().clone() for name, value in contents.network.state_dict().items()},
        "reference_energies": dict(contents.reference_energies),
        "provenance": contents.provenance,
    }
    with replace_atomically(path) as beside:
        write_tensors(plain, beside)


def load_network(path: str | os.PathLike) -> NetworkFile:
    """Reads what :func:`save_network` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or no neural potential of this version.
    """
    path = pathlib.Path(path)
    try:
        plain = read_tensors(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such potential; pretrain one, or say where it is") from None
    except ValueError as error:
        raise ValueError(f"{path}: damaged, or no file of a potential ({error})") from error
    if not isinstance(plain, dict) or plain.get("kind") != KIND:
        raise ValueError(f"{path}: is no neural potential")
    if plain["format"] != FORMAT:
        raise ValueError(f"{path}: format {plain['format']!r}, expected {FORMAT}; pretrain the potential anew")
    network = AtomEnergyNetwork(read_settings(plain["settings"]), torch.Generator())
    try:
        network.load_state_dict(plain["weights"])
    except RuntimeError as error:
        raise ValueError(f"{path}: the weights do not fit the settings ({error})") from error
    return NetworkFile(network, plain["reference_energies"], plain["provenance"])


def is_network_file(path: str | os.PathLike) -> bool:
    """Whether a file holds a neural potential; False for a force field with its molecules.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it is damaged.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such potential; pretrain one, or say where it is")
    try:
        plain = read_tensors(path)
    except ValueError as error:
        raise ValueError(f"{path}: damaged, or no file of a potential ({error})") from error
    return isinstance(plain, dict) and plain.get("kind") == KIND


def load_potential(
    path: str | os.PathLike,
    smiles: str,
    atomic_nums: torch.Tensor,
    cell: torch.Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Potential:
    """The potential of one system from a file of either kind.

    Args:
        path: of a neural potential, or of a force field with its molecules.
        smiles: mapped SMILES of the system, by which a force field file knows it.
        atomic_nums: ``shape=(n_atoms,)``.
        cell: edges of the box [Angstrom], or None.
        dtype, device: of a neural potential.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or has no parameters for the system.
    """
    if is_network_file(path):
        network = load_network(path).network.to(device, dtype)
        return NeuralPotential(network, atomic_nums, cell)
    molecules = load_parameters(path)
    if smiles not in molecules.topologies:
        raise ValueError(f"{path}: holds no parameters for {smiles}; apply the force field to the reference's molecule")
    if cell is not None:
        raise ValueError(f"{path}: a force field is simulated in the gas phase only, and the reference has a box")
    return SmirnoffPotential(molecules.topologies[smiles], molecules.force_field)

"""Molecules and networks that several tests of the generator share."""

import numpy
import torch
from rdkit import Chem

from common.generators.batches import Geometry, MoleculeTable, build_table
from common.generators.conditions import Condition
from common.generators.network import GeneratorNetwork, NetworkSettings
from common.molecules.conformers import embed_conformers

CONDITIONS = (
    Condition("gap", quantity="gap", low=0.0, high=4.0, spacing=1.0, n_features=6, n_layers=2),
    Condition("fingerprint", kind="vector", quantity="fingerprint", n_inputs=4, n_features=3, n_layers=2),
    Condition("composition", kind="composition", stepwise=True, n_features=5, n_layers=2, n_type_features=3),
)


def make_geometry(smiles: str, seed: int = 1) -> Geometry:
    """A molecule as ETKDG embeds it."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    numbers = numpy.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    return Geometry(numbers, embed_conformers(mol, 1, seed)[0])


def make_settings(**changes) -> NetworkSettings:
    """A small network."""
    small = {
        "n_channels": 8,
        "n_interactions": 2,
        "n_gaussians": 6,
        "type_layers": 3,
        "type_hidden": 7,
        "distance_layers": 2,
        "distance_hidden": 9,
        "condition_features": 4,
        "condition_layers": 2,
    }
    return NetworkSettings(**{**small, **changes})


def make_network(settings: NetworkSettings, seed: int = 0) -> GeneratorNetwork:
    """With weights of torch's default type; biases are drawn, too, so that each of them counts."""
    network = GeneratorNetwork(settings, torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias") or "absent" in name:
                parameter.normal_(0.0, 0.3, generator=generator)
    return network


def make_table(smiles: list[str], settings: NetworkSettings) -> MoleculeTable:
    return build_table([make_geometry(one) for one in smiles], settings)

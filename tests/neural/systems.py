"""Geometries and networks that the tests of networks and potentials share."""

import dataclasses
import importlib.util

import torch

from common.neural.atom_energies import AtomEnergyNetwork, NetworkSettings
from common.neural.nequip import NequIPSettings
from common.neural.painn import PaiNNSettings
from common.neural.schnet import SchNetSettings

ETHANOL = torch.tensor([6, 6, 8, 1, 1, 1, 1, 1, 1])
COORDS = torch.tensor(
    [
        [-0.92, -0.05, 0.02],
        [0.47, 0.51, -0.13],
        [1.42, -0.44, 0.25],
        [-1.05, -0.93, -0.64],
        [-1.67, 0.71, -0.25],
        [-1.08, -0.36, 1.07],
        [0.61, 1.39, 0.53],
        [0.65, 0.81, -1.18],
        [1.29, -1.23, -0.29],
    ],
    dtype=torch.float64,
)
SETTINGS = {
    "schnet": NetworkSettings("schnet", SchNetSettings(16, 12, 2, 15, 4.0), scale=20.0),
    "painn": NetworkSettings("painn", PaiNNSettings(12, 2, 10, 4.0), scale=20.0),
}
if importlib.util.find_spec("nequip"):
    SETTINGS["nequip"] = NetworkSettings("nequip", NequIPSettings(6, 2, 8, 1, 4.0), scale=20.0)


def make_network(architecture: str, seed: int = 0, **changes) -> AtomEnergyNetwork:
    """A network with weights that are nowhere zero; float32."""
    settings = SETTINGS[architecture]
    settings = dataclasses.replace(settings, trunk=dataclasses.replace(settings.trunk, **changes))
    generator = torch.Generator().manual_seed(seed)
    network = AtomEnergyNetwork(settings, generator)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return network


def displace(n_frames: int, seed: int = 1, spread: float = 0.08) -> torch.Tensor:
    """Ethanol, displaced; ``shape=(n_frames, 9, 3)`` float64."""
    noise = torch.randn(n_frames, 9, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return COORDS + spread * noise

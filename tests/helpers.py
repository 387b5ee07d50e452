"""Functions that several test files share: made-up data, and motions that must change nothing."""

import collections.abc
import contextlib
import dataclasses
import pathlib
import re

import numpy
import pytest
import torch

from common.data.dataset import Entry, ShardWriter, finish_dataset
from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.processes.stage import describe_error

ROOT = pathlib.Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "data"
SHARED = ROOT.parent / "shared"
"""What is not ours to commit; tests that need it skip without."""


@contextlib.contextmanager
def raises_with_advice(kind: type[Exception], match: str) -> collections.abc.Iterator[None]:
    """As ``pytest.raises``; the pattern is sought in what a stage prints, which says what to do, too."""
    with pytest.raises(kind) as caught:
        yield
    assert re.search(match, text := describe_error(caught.value)), text


def make_entries(energies: list[dict], n_confs: int, seed: int = 0) -> list[Entry]:
    """Entries with displaced conformers and random reference energies and forces: enough to test arithmetic."""
    random = numpy.random.default_rng(seed)
    entries = []
    for record in energies:
        coords = numpy.array(record["coords"])[numpy.arange(n_confs) % 3]
        coords = coords + random.normal(0.0, 0.05, coords.shape)
        energy = random.normal(0.0, 5.0, n_confs)
        entries.append(
            Entry(
                record["smiles"],
                coords,
                energy - energy.mean(),
                random.normal(0.0, 10.0, coords.shape),
                float(energy.mean()),
            )
        )
    return entries


def write_dataset(folder: pathlib.Path, entries: list[Entry]) -> None:
    """Writes one data set as the stages do."""
    work = folder.with_name(f".{folder.name}.work")
    work.mkdir(parents=True)
    with ShardWriter(work / "shard.arrow") as writer:
        for entry in entries:
            writer.write(entry)
    finish_dataset(work, [work / "shard.arrow"], folder, {"stage": "test"})


def rotate_randomly(coords: torch.Tensor, seed: int) -> torch.Tensor:
    """Coordinates turned and shifted as a whole, ``(..., 3) -> (..., 3)``."""
    generator = torch.Generator().manual_seed(seed)
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    rotation = rotation * torch.sign(torch.linalg.det(rotation))
    return coords @ rotation.T + torch.randn(3, generator=generator, dtype=torch.float64) * 10.0


def simulate_entries(
    molecules: ParameterizedMolecules,
    force_field: TensorForceField,
    entries: list[Entry],
    sigma_energy: float,
    sigma_forces: float,
    seed: int = 0,
) -> list[Entry]:
    """The entries with energies and forces of ``force_field`` plus independent Gaussian noise."""
    random = numpy.random.default_rng(seed)
    simulated = []
    for entry in entries:
        topology, coords = molecules.topologies[entry.smiles], torch.from_numpy(entry.coords)
        energy = compute_energy(topology, force_field, coords).numpy()
        energy = energy + random.normal(0.0, sigma_energy, energy.shape)
        forces = compute_forces(topology, force_field, coords).numpy()
        forces = forces + random.normal(0.0, sigma_forces, forces.shape)
        simulated.append(
            dataclasses.replace(entry, energy=energy - energy.mean(), forces=forces, energy_offset=float(energy.mean()))
        )
    return simulated


def change_parameters(
    force_field: TensorForceField, types: collections.abc.Iterable[str], seed: int, width: float = 1.0
) -> TensorForceField:
    """The force field with other k, minima, ε and σ, all of them sensible: a truth to be found, or another start."""
    generator = torch.Generator().manual_seed(seed)
    tables = {}
    for type_ in types:
        potential = force_field.potentials_by_type[type_]
        table = potential.parameters.clone()
        for name, relative, absolute in (
            ("k", 0.1, 0.0 if type_ in ("Bonds", "Angles") else 0.3),
            ("length", 0.01, 0.0),
            ("angle", 0.02, 0.0),
            ("epsilon", 0.1, 0.0),
            ("sigma", 0.01, 0.0),
        ):
            if name in potential.parameter_cols:
                column = table[:, potential.parameter_cols.index(name)]
                noise = torch.randn(2, len(table), generator=generator, dtype=torch.float64)
                column += width * (relative * column * noise[0] + absolute * noise[1])
                if name == "angle":
                    column.clamp_(max=numpy.pi)
        tables[type_] = table
    return force_field.replace_parameters(tables)

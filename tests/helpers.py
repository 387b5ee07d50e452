"""Functions that several test files share: made-up data, and motions that must change nothing."""

import pathlib

import numpy
import torch

from common.dataset import Entry, ShardWriter, finish_dataset


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

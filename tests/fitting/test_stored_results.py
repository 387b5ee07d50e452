"""A fit from data to errors gives what it gave before the pass, the epochs and the evaluation were compiled.

``tests/data/stored-results.json`` holds what tensor operations and autograd found on the same made-up entries, at
commit 799a568. ``python -m tests.fitting.test_stored_results`` writes it anew, from what stands here.
"""

import collections.abc
import json
import pathlib
import tempfile
import typing

import numpy
import torch

from common.analysis.predictions import predict_here
from common.data.index import index_dataset
from common.data.splits import SPLITS, assign_rows
from common.data.weighting import ConformerSelection
from common.fitting.objective import build_objective
from common.fitting.optimizers import iterate_adam
from common.forcefields.parameter_file import load_parameters, save_parameters
from common.forcefields.tensors import ParameterizedMolecules
from common.forcefields.trainable import Column, build_trainable
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.settings import PassMachine, PassSettings
from tests.helpers import change_parameters, make_entries, write_dataset

STORED = pathlib.Path(__file__).parent.parent / "data" / "stored-results.json"

TOLERANCE = 1e-10
"""Relative to the largest number of a kind."""

N_CONFS = 5
N_EPOCHS = 200
N_DIRECTIONS = 3

COLUMNS = {
    "Bonds": {"k": Column(scale=1 / 100, lower=0.0), "length": Column(lower=0.0)},
    "Angles": {"k": Column(scale=1 / 100, lower=0.0), "angle": Column(lower=0.0, upper=3.141592653589793)},
    "ProperTorsions": {"k": Column()},
    "ImproperTorsions": {"k": Column()},
}

RunEpochs: typing.TypeAlias = collections.abc.Callable[..., torch.Tensor]


def run_by_autograd(objectives, trainable, values) -> torch.Tensor:
    """The values after all epochs."""
    return list(iterate_adam(objectives["train"], trainable, values, 0.01, N_EPOCHS))[-1].values


def compute_results(
    molecules: ParameterizedMolecules, energies: list[dict], folder: pathlib.Path, run_epochs: RunEpochs
) -> dict[str, list[float]]:
    """Numbers of each kind: what the matrices are in some directions, losses and values of a fit, errors of 005."""
    save_parameters(folder / "parameters.pt", molecules)
    molecules = load_parameters(folder / "parameters.pt")
    write_dataset(folder / "data" / "one", make_entries(energies, n_confs=N_CONFS))
    results: dict[str, list[float]] = {}
    for kind, settings in (("valence", PassSettings()), ("vdw", PassSettings(with_vdw=True))):
        statistics = compute_statistics(
            folder / "data", folder / "parameters.pt", folder / "cache", settings, PassMachine(n_processes=1)
        )
        directions = numpy.random.default_rng(0).normal(size=(N_DIRECTIONS, len(statistics.features) + 1))
        for part in ("energy", "forces", "energy_noise", "forces_noise"):
            matrices = [getattr(statistics.groups["one", split], part).numpy() for split in SPLITS]
            results[f"{kind} {part}"] = [float(d @ matrix @ d) for matrix in matrices for d in directions]
        if kind == "vdw":
            continue
        objectives = {split: build_objective(statistics, split) for split in SPLITS}
        trainable = build_trainable(molecules.force_field, COLUMNS)
        values = run_epochs(objectives, trainable, trainable.to_values(molecules.force_field))
        fitted = trainable.to_force_field(values)
        results["losses"] = [objectives[split].compute_loss(fitted).item() for split in SPLITS]
        results["values"] = values.tolist()
    return results | compute_errors(molecules, folder)


def compute_errors(molecules: ParameterizedMolecules, folder: pathlib.Path) -> dict[str, list[float]]:
    """What 005 computes of a force field whose parameters are others than those of the start."""
    changed = change_parameters(molecules.force_field, ("Bonds", "Angles", "ProperTorsions", "vdW"), seed=3)
    candidates = {
        "start": molecules,
        "changed": ParameterizedMolecules(changed, molecules.topologies, {}, molecules.provenance, molecules.origin),
    }
    rows = assign_rows(index_dataset(folder / "data" / "one"), lambda smiles: "test")
    found = predict_here(folder / "data", rows, candidates, ConformerSelection())
    return {
        "energies": found.energies[:, ::7].ravel().tolist(),
        "force squares": found.force_squares[:, ::7].ravel().tolist(),
        "force magnitudes": found.force_magnitudes[:, ::7].ravel().tolist(),
    }


def test_results_are_those_of_the_version_before(parity_molecules, parity_energies, tmp_path):
    from common.fitting.adam import begin, run_epochs

    def run(objectives, trainable, values):
        return next(iter(run_epochs({"train": objectives["train"]}, trainable, 0.01, [N_EPOCHS], begin(values)))).values

    found = compute_results(parity_molecules, parity_energies, tmp_path, run)
    stored = json.loads(STORED.read_text())
    assert found.keys() == stored.keys()
    for kind, numbers in stored.items():
        assert len(found[kind]) == len(numbers), kind
        largest = max(map(abs, numbers))
        assert numpy.abs(numpy.subtract(found[kind], numbers)).max() <= TOLERANCE * largest, kind


if __name__ == "__main__":
    from tests import conftest

    with tempfile.TemporaryDirectory() as scratch:
        fixtures = (conftest.parity_molecules, conftest.parity_energies)
        inputs = [getattr(one, "__wrapped__", None) or one.__pytest_wrapped__.obj for one in fixtures]
        torch.set_num_threads(1)
        written = compute_results(*(make() for make in inputs), pathlib.Path(scratch), run_by_autograd)
    lines = ",\n".join(f"{json.dumps(kind)}: {json.dumps(numbers)}" for kind, numbers in written.items())
    STORED.write_text(f"{{{lines}}}\n")

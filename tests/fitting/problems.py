"""Fits of made-up data: force fields that differ from the start in every trained column, with noise."""

import dataclasses
import math
import pathlib

import numpy

from common.data.splits import SplitSettings
from common.fitting.objective import Objective, build_objective
from common.fitting.priors import build_prior
from common.fitting.uncertainty import Uncertainty, compute_uncertainty
from common.forcefields.parameter_file import save_parameters
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.forcefields.trainable import Column, Trainable, TrainedColumns, build_trainable
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.settings import PassMachine, PassSettings
from common.sufficient_statistics.statistics import Statistics
from tests.helpers import change_parameters, make_entries, simulate_entries, write_dataset

VALENCE = {
    "Bonds": {"k": Column(scale=0.01, lower=0.0, prior=100.0), "length": Column(lower=0.0, prior=0.05)},
    "Angles": {"k": Column(scale=0.01, lower=0.0, prior=50.0), "angle": Column(lower=0.0, upper=math.pi, prior=0.1)},
    "ProperTorsions": {"k": Column(prior=1.0)},
    "ImproperTorsions": {"k": Column(prior=2.0)},
}
WITH_VDW = VALENCE | {
    "vdW": {"epsilon": Column(scale=10.0, lower=0.0, prior=0.05), "sigma": Column(lower=0.5, upper=6.0, prior=0.1)}
}

SIGMA_ENERGY, SIGMA_FORCES = 0.5, 3.0
"""[kcal/mol], [kcal/mol/Angstrom] of the noise."""

OPTIMALITY = 1e-6
"""Relative violation of the optimality conditions, as promised; found: 1e-13."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """A fit on made-up data.

    Attributes:
        molecules: with the parameters that the fit starts from.
        truth: the force field that made the data.
        statistics: of the data.
        columns: what is trained.
    """

    molecules: ParameterizedMolecules
    truth: TensorForceField
    statistics: Statistics
    columns: TrainedColumns

    def build(
        self,
        strength: float = 0.0,
        centre: TensorForceField | None = None,
        columns: TrainedColumns | None = None,
    ) -> tuple[Objective, Trainable]:
        """The training loss, with priors of some strength around ``centre`` (the start), and what is trained."""
        columns = columns or self.columns
        trainable = build_trainable(self.molecules.force_field, columns)
        objective = build_objective(self.statistics, "train")
        assert objective is not None
        centre = centre or self.molecules.force_field
        prior = build_prior(trainable, columns, self.statistics.linearization, self.statistics.features, centre)
        return dataclasses.replace(objective, prior=prior).with_strengths(strength), trainable

    def compute_uncertainty(self, fitted: TensorForceField) -> Uncertainty:
        """Error bars of fitted values, without priors."""
        objective, trainable = self.build()
        return compute_uncertainty(
            self.statistics, objective, trainable, fitted, list_widths(trainable, self.columns), {}
        )


def list_widths(trainable: Trainable, columns: TrainedColumns) -> numpy.ndarray:
    """The width of the prior of each trained value."""
    return numpy.array([columns[type_][name].prior for type_, _, name in trainable.names])


def make_problem(
    folder: pathlib.Path,
    molecules: ParameterizedMolecules,
    energies: list[dict],
    columns: TrainedColumns,
    sigmas: tuple[float, float] = (SIGMA_ENERGY, SIGMA_FORCES),
    start: TensorForceField | None = None,
    n_confs: int = 8,
) -> Problem:
    """Data of a force field that differs from the one of ``molecules`` in all columns, with noise.

    Args:
        folder: where data, parameters and statistics go.
        molecules, energies: the fixtures ``parity_molecules`` and ``parity_energies``, or some of the latter.
        columns: what is trained.
        sigmas: of the noise.
        start: where the fit starts, by default the force field of ``molecules``; the data are the same.
        n_confs: conformers of each molecule.
    """
    truth = change_parameters(molecules.force_field, tuple(columns), seed=7)
    write_dataset(
        folder / "data" / "source", simulate_entries(molecules, truth, make_entries(energies, n_confs), *sigmas)
    )
    if start is not None:
        molecules = dataclasses.replace(molecules, force_field=start)
    save_parameters(folder / "parameters.pt", molecules)
    # parameters that no training molecule has are wanted here
    settings = PassSettings(
        split=SplitSettings(validation_fraction=0.15, test_fraction=0.0, keep_exercised=False),
        with_vdw="vdW" in columns,
    )
    paths = (folder / "data", folder / "parameters.pt", folder / "statistics")
    statistics = compute_statistics(*paths, settings, PassMachine(n_processes=1))
    assert statistics is not None
    return Problem(molecules, truth, statistics, columns)

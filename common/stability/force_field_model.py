"""A SMIRNOFF force field as what is learnt: features of frames once, then energies are a matrix-vector product.

With U = f(x)·φ(θ) + what stays, differences of energies between parameters are f(x)·(φ - φ̄), exactly. The quantum
loss is the quadratic form that a fit minimises, δᵀGδ - 2hᵀδ + c from one pass over quantum frames: whatever the
observables ask for, energies and forces hold on. Their errors may be limited, too, relative to where the force field
starts: beyond a limit a penalty rises that no observable outweighs for long, and after the steps of an epoch the values
are brought back to where no limited error is worse than at the start.
"""

import collections.abc
import dataclasses

import numpy
import torch

from common.data.dataset import Entry
from common.dynamics.states import Evaluate
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.forcefields.trainable import Column, Trainable
from common.potentials.smirnoff import SmirnoffPotential
from common.stability.energy_features import compute_energy_features
from common.sufficient_statistics.entry_grams import WeightedEntry
from common.sufficient_statistics.gram import compute_entry_grams
from common.sufficient_statistics.interactions import build_interactions
from common.sufficient_statistics.linearization import Linearization
from common.sufficient_statistics.quadratic import QuadraticForm

STIFFNESS = 2000.0
"""Of the penalty, which is that times the square of the excess of a mean squared error over its limit, relative."""


MAX_RETURNS = 50
"""Newton's steps back to where limits hold; a handful is enough."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of root mean squared errors on the quantum frames, relative to those of the start; None for none."""

    energy: float | None = None
    forces: float | None = None


class ForceFieldModel:
    """An :class:`common.stability.learning.EnergyModel`.

    Its one parameter is the vector of trained values, each in units of the width of its prior, from the start: an
    optimiser's step means the same everywhere.
    """

    def __init__(
        self,
        molecules: ParameterizedMolecules,
        smiles: str,
        trainable: Trainable,
        widths: torch.Tensor,
        quantum: Entry,
        shares: tuple[float, float],
        prior_strength: float,
        limits: Limits = Limits(),
    ):
        """Passes once over the quantum frames.

        Args:
            molecules: the force field and the topology of the system.
            smiles: mapped SMILES of the system.
            trainable: which values are trained.
            widths: of the priors in the values' own units, ``shape=(n_values,)``.
            quantum: frames with energies and forces.
            shares: of mean squared errors of energies and of force components.
            prior_strength: of the mean squared value; 0 for none.
            limits: of errors, beyond which the quantum loss rises steeply.
        """
        self.topology = molecules.topologies[smiles]
        self.trainable, self._widths = trainable, widths * trainable.scales
        self._start = trainable.start * trainable.scales
        self.values = torch.zeros(len(self._start), dtype=torch.float64, requires_grad=True)
        self.parameters = [self.values]
        self._prior_strength = prior_strength
        self._linearization = Linearization(molecules.force_field)
        self._phi = self._linearization.compute(molecules.force_field)
        interactions = build_interactions([self.topology], self._linearization)
        weights = numpy.full(quantum.n_confs, 1.0 / quantum.n_confs)
        (grams,) = compute_entry_grams([WeightedEntry(quantum, 0, weights)], interactions, self._phi)
        self._used = torch.from_numpy(numpy.asarray(grams.features))
        self._form = QuadraticForm(shares[0] * grams.energy + shares[1] * grams.forces)
        pairs = ((grams.energy, limits.energy), (grams.forces, limits.forces))
        self._limited = [(QuadraticForm(form), limit) for form, limit in pairs if limit is not None]

    def make_force_field(self) -> TensorForceField:
        """The force field with the values as they are; differentiable."""
        return self.trainable.to_force_field(self.trainable.clamp(self._start + self._widths * self.values))

    def freeze(self) -> Evaluate:
        """A function for dynamics."""
        with torch.no_grad():
            return SmirnoffPotential(self.topology, self.make_force_field()).freeze()

    def _compute_delta(self) -> torch.Tensor:
        return (self._linearization.compute(self.make_force_field()) - self._phi)[self._used]

    def prepare(self, coords: torch.Tensor) -> torch.Tensor:
        features = compute_energy_features(self.topology, self._linearization, coords.to(torch.float64))
        return features[:, self._used]

    def compute(self, prepared: torch.Tensor) -> torch.Tensor:
        return (prepared @ self._compute_delta())[:, None]

    def compute_quantum_losses(self, key: tuple) -> list[collections.abc.Callable[[], torch.Tensor]]:
        return [self._compute_quantum_loss]

    def _compute_quantum_loss(self) -> torch.Tensor:
        delta = self._compute_delta()
        loss = self._form.evaluate(delta) + self._prior_strength * self.values.square().mean()
        for form, limit in self._limited:
            excess = form.evaluate(delta) / (limit**2 * form.constant) - 1.0
            loss = loss + STIFFNESS * excess.clamp(min=0.0).square()
        return loss

    def restrain(self) -> None:
        for _ in range(MAX_RETURNS):
            delta = self._compute_delta()
            excesses = [form.evaluate(delta) / form.constant - max(limit, 1.0) ** 2 for form, limit in self._limited]
            worst = max(excesses, key=lambda excess: excess.item(), default=None)
            if worst is None or worst <= 0.0:
                return
            (slope,) = torch.autograd.grad(worst, self.values)
            with torch.no_grad():  # a trifle further than the limit, so that it ends
                self.values -= (worst + 1e-6) * slope / slope.square().sum()


def collect_widths(
    trainable: Trainable, trained: collections.abc.Mapping[str, collections.abc.Mapping[str, Column]]
) -> torch.Tensor:
    """The widths of the priors of trained values, in their own units, ``shape=(n_values,)``.

    Args:
        trainable: the values.
        trained: by type and column, with an attribute ``prior``.

    Raises:
        ValueError: a column has no width.
    """
    widths = []
    for type_, _, name in trainable.names:
        prior = trained[type_][name].prior
        if prior is None:
            raise ValueError(f"trained: {type_} {name} has no prior, whose width is the unit of its steps here")
        widths.append(prior)
    return torch.tensor(widths, dtype=torch.float64)

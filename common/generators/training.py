"""Training a generator: one epoch after another, alone or in many processes, each of them repeatable.

Every epoch draws its order, its trajectories, its steps and which conditions are left out from a generator of its own,
seeded by (seed, epoch, rank): a run that is resumed goes the way of one that was never interrupted.
"""

import copy
import dataclasses
import math
import typing
from collections.abc import Iterator, Mapping, Sequence

import numpy
import torch

from common.generators.batches import MoleculeTable, Steps, TrainingBatch, count_pairs, draw_steps, lay_out
from common.generators.losses import Losses, compute_losses
from common.generators.network import GeneratorNetwork
from common.processes.ranks import Ranks
from common.processes.slices import cut_into_slices

VALIDATION_SEED = 2718
"""Of the trajectories on which the validation loss is taken, the same in every epoch."""


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Attributes:
        batch_size: molecules in a batch, of all processes together.
        n_drawn: steps drawn of each molecule's trajectory; 0 takes all.
        learning_rate: at its largest.
        schedule: "plateau" lowers it when the validation loss stays where it is; "cosine" along half a cosine, from the
            learning rate to the least, over the epochs of the run, after a rise over ``n_warmup`` batches.
        decay_factor: on a plateau, what the learning rate is multiplied with.
        patience: epochs without a better validation loss before that.
        least_learning_rate: it is not lowered further.
        n_warmup: batches over which the learning rate rises from zero.
        max_norm: of the gradient; longer ones are shortened. 0 for no limit.
        averaging: of the weights that generate, an exponential average: the share of the old ones at each batch.
        condition_dropout: with this probability a condition is not told.
        label_width: see :mod:`common.generators.losses`.
        max_pairs: of partial molecules at once; larger batches are worked off in parts. It bounds the memory.
        seed: of everything that is drawn.
    """

    batch_size: int = 32
    n_drawn: int = 10
    learning_rate: float = 1e-4
    schedule: typing.Literal["plateau", "cosine"] = "plateau"
    decay_factor: float = 0.5
    patience: int = 10
    least_learning_rate: float = 1e-6
    n_warmup: int = 0
    max_norm: float = 0.0
    averaging: float = 0.0
    condition_dropout: float = 0.0
    label_width: float = 0.1
    max_pairs: int = 200_000
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Molecules, and what the conditions are for each.

    Attributes:
        table: the molecules.
        values: by name of the condition, ``shape=(n_molecules, n_values)`` float64; compositions as numbers of atoms.
    """

    table: MoleculeTable
    values: Mapping[str, numpy.ndarray]

    def __len__(self) -> int:
        return len(self.table)


class EpochLosses(typing.NamedTuple):
    """Means over steps, and over predicted distances."""

    types: float
    distances: float

    @property
    def total(self) -> float:
        return self.types + self.distances


class Training:
    """A network on its way: weights, their average, the optimiser, how far it is."""

    def __init__(self, network: GeneratorNetwork, settings: TrainingSettings, n_epochs: int, ranks: Ranks):
        """Begins; ``n_epochs`` says over how many the cosine goes."""
        self.network = network
        self.averaged = copy.deepcopy(network).requires_grad_(False)
        self.settings = settings
        self.n_epochs = n_epochs
        self.ranks = ranks
        self.optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)
        self.n_batches = 0
        self.epoch = 0
        self.rate = settings.learning_rate
        self.best = math.inf
        self.n_without_better = 0

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def run_epoch(self, data: TrainingData) -> EpochLosses:
        """Trains on every molecule once; the mean losses on the way."""
        self.epoch += 1
        self.network.train()
        settings, ranks = self.settings, self.ranks
        order = numpy.random.default_rng([settings.seed, self.epoch]).permutation(len(data))
        random = numpy.random.default_rng([settings.seed, self.epoch, 1 + ranks.rank])
        n_batches = math.ceil(len(data) / settings.batch_size)
        sums = torch.zeros(4, dtype=torch.float64)
        for i in range(n_batches):
            batch = order[i * settings.batch_size : (i + 1) * settings.batch_size]
            self._set_learning_rate((self.epoch - 1 + i / n_batches) / self.n_epochs)
            sums += self._take_step(data, batch[ranks.rank :: ranks.world_size], random)
        return EpochLosses(float(sums[0] / sums[2]), float(sums[1] / max(float(sums[3]), 1.0)))

    def _take_step(self, data: TrainingData, molecules: numpy.ndarray, random: numpy.random.Generator) -> torch.Tensor:
        """One step of the optimiser; sums of losses and their numbers, over all ranks."""
        settings = self.settings
        self.optimizer.zero_grad(set_to_none=False)
        steps = draw_steps(data.table, molecules, settings.n_drawn, random)
        given = draw_given(list(data.values), molecules, settings.condition_dropout, random)
        n_steps, n_distances = len(steps), 0
        sums = torch.zeros(4, dtype=torch.float64)
        parts = list(self._lay_out_parts(data, steps))
        n_distances = sum(len(batch.distances) for _, batch in parts)
        total = torch.tensor([n_steps, n_distances], dtype=torch.float64)
        self.ranks.sum_in_place(total)
        for own, batch in parts:
            losses = self._compute_losses(self.network, data, own, batch.to(self.device), given)
            loss = losses.types / float(total[0]) + losses.distances / max(float(total[1]), 1.0)
            loss.backward()
            sums += torch.tensor([losses.types.item(), losses.distances.item(), losses.n_steps, losses.n_distances])
        self._share_gradients()
        if settings.max_norm:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), settings.max_norm)
        self.optimizer.step()
        self.n_batches += 1
        self._average()
        return self.ranks.sum_in_place(sums)

    def _lay_out_parts(self, data: TrainingData, steps: Steps) -> Iterator[tuple[Steps, TrainingBatch]]:
        costs = count_pairs(data.table, steps).tolist()
        for part in cut_into_slices(range(len(steps)), costs, self.settings.max_pairs):
            own = steps.select(slice(part[0], part[-1] + 1))
            yield own, lay_out(data.table, own, self.network.settings)

    def _compute_losses(
        self,
        network: GeneratorNetwork,
        data: TrainingData,
        steps: Steps,
        batch: TrainingBatch,
        given: Mapping[str, dict[int, bool]] | None,
    ) -> Losses:
        conditions, rows = None, None
        if network.conditioning is not None:
            molecules = numpy.unique(steps.molecules)
            values = {name: torch.from_numpy(own[molecules]).to(batch.missing) for name, own in data.values.items()}
            told = {
                name: torch.tensor([True if given is None else given[name][m] for m in molecules.tolist()])
                for name in values
            }
            conditions, rows = network.embed_conditions(values, told, batch.partial.molecules, batch.missing)
        return compute_losses(network, batch, conditions, rows, self.settings.label_width)

    def _share_gradients(self) -> None:
        if self.ranks.world_size > 1:
            gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            self.ranks.sum_in_place(flat)
            for gradient, own in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(own.view_as(gradient))

    def _average(self) -> None:
        """The average forgets its first weights sooner, so that the start does not linger."""
        keep = min(self.settings.averaging, self.n_batches / (self.n_batches + 10.0))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.parameters()), list(self.network.parameters()), 1.0 - keep)

    def _set_learning_rate(self, progress: float) -> None:
        settings = self.settings
        rate = self.rate
        if settings.schedule == "cosine":
            share = 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
            rate = settings.least_learning_rate + share * (settings.learning_rate - settings.least_learning_rate)
        rate *= min(1.0, (self.n_batches + 1) / max(1, settings.n_warmup))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def validate(self, data: TrainingData) -> EpochLosses:
        """The losses of the averaged weights on all steps of trajectories that are always the same."""
        self.averaged.eval()
        random = numpy.random.default_rng(VALIDATION_SEED)
        steps = draw_steps(data.table, numpy.arange(len(data)), 0, random)
        steps = steps.select(steps.molecules % self.ranks.world_size == self.ranks.rank)
        sums = torch.zeros(4, dtype=torch.float64)
        with torch.no_grad():
            for own, batch in self._lay_out_parts(data, steps):
                losses = self._compute_losses(self.averaged, data, own, batch.to(self.device), None)
                sums += torch.tensor([losses.types.item(), losses.distances.item(), losses.n_steps, losses.n_distances])
        self.ranks.sum_in_place(sums)
        return EpochLosses(float(sums[0] / sums[2]), float(sums[1] / max(float(sums[3]), 1.0)))

    def heed(self, loss: float) -> bool:
        """Takes note of a validation loss, and lowers the learning rate on a plateau; True where it is the best."""
        if loss < self.best:
            self.best, self.n_without_better = loss, 0
            return True
        self.n_without_better += 1
        settings = self.settings
        if settings.schedule == "plateau" and self.n_without_better % (settings.patience + 1) == 0:
            self.rate = max(settings.least_learning_rate, settings.decay_factor * self.rate)
        return False

    def get_state(self) -> dict[str, typing.Any]:
        """All that a resumed run needs, as plain values and tensors."""
        return {
            "network": dict(self.network.state_dict()),
            "averaged": dict(self.averaged.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "progress": {
                name: getattr(self, name) for name in ("n_batches", "epoch", "rate", "best", "n_without_better")
            },
        }

    def set_state(self, state: Mapping[str, typing.Any]) -> None:
        """Goes back to where :meth:`get_state` was called."""
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name, value in state["progress"].items():
            setattr(self, name, value)


def draw_given(
    names: Sequence[str], molecules: numpy.ndarray, dropout: float, random: numpy.random.Generator
) -> dict[str, dict[int, bool]]:
    """Which conditions are told for which molecules."""
    numbers = random.random((len(names), len(molecules))) >= dropout
    return {
        name: dict(zip(molecules.tolist(), own.tolist(), strict=True)) for name, own in zip(names, numbers, strict=True)
    }

"""Training a network of atom energies on quantum energies and forces.

The loss of a batch is ``energy_share`` mean dE² + ``force_share`` mean dF², over frames and force components. Its
gradient is summed over parts of a few frames in their order: dealt to any number of processes it is the same to the
last bit.
"""

import collections.abc
import copy
import dataclasses
import math
import typing

import torch

from common.neural.atom_energies import AtomEnergyNetwork
from common.neural.frames import Batch, FrameSet
from common.neural.pairs import compute_pair_vectors, drop_far_pairs
from common.processes.generators import make_generator
from common.processes.ranks import Ranks

FRAMES_IN_PART = 25
"""Frames whose loss is differentiated in one go."""


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Attributes:
        seed: of the order of frames.
        max_epochs: through all training frames.
        batch_size: frames in a step.
        learning_rate: of Adam, after warming up.
        warm_up_steps, warm_up_factor: the rate rises linearly from ``warm_up_factor`` times itself.
        schedule: "plateau", "cosine" (to 0 at ``max_epochs``) or "constant".
        decay, patience: on a plateau the rate falls by ``decay`` after ``patience`` epochs without a smaller
            validation loss.
        smallest_learning_rate: on a plateau training ends below it.
        early_stopping: epochs without a smaller validation loss after which it ends; None for never.
        energy_share, force_share: of the loss.
        averaging: decay of the moving average of the weights, which is what is validated and kept; None for none.
        clipping: the largest length of a gradient, or None.
    """

    seed: int = 0
    max_epochs: int = 1000
    batch_size: int = 100
    learning_rate: float = 1e-3
    warm_up_steps: int = 0
    warm_up_factor: float = 0.2
    schedule: str = "plateau"
    decay: float = 0.8
    patience: int = 5
    smallest_learning_rate: float = 1e-6
    early_stopping: int | None = None
    energy_share: float = 0.05
    force_share: float = 0.95
    averaging: float | None = None
    clipping: float | None = None


def compute_batch(network: AtomEnergyNetwork, batch: Batch, differentiable: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Energies [kcal/mol] ``shape=(n_frames,)`` and forces ``shape=(n_atoms, 3)`` of a batch."""
    with torch.enable_grad():
        coords = batch.coords.detach().requires_grad_()
        pairs = drop_far_pairs(coords, batch.pairs, network.settings.cutoff, batch.cell)
        atoms = network(batch.atomic_nums, compute_pair_vectors(coords, pairs, batch.cell), pairs)
        energies = atoms.new_zeros(len(batch.energies)).index_add(0, batch.frame_idxs, atoms)
        (gradient,) = torch.autograd.grad(atoms.sum(), coords, create_graph=differentiable)
    return (energies if differentiable else energies.detach()), -gradient


def compute_loss(
    network: AtomEnergyNetwork, batch: Batch, shares: tuple[float, float], size: tuple[int, int]
) -> torch.Tensor:
    """The part of the loss that a batch contributes to ``size`` frames and force components; differentiable."""
    energies, forces = compute_batch(network, batch, differentiable=True)
    energy_loss = (energies - batch.energies).square().sum() / size[0]
    return shares[0] * energy_loss + shares[1] * (forces - batch.forces).square().sum() / size[1]


@dataclasses.dataclass(frozen=True)
class Errors:
    """Errors of a network over frames [kcal/mol, kcal/mol/Angstrom]; energies as they are, with no shift."""

    energy_mae: float
    energy_rmse: float
    force_mae: float
    force_rmse: float

    def compute_loss(self, shares: tuple[float, float]) -> float:
        """The loss over these frames."""
        return shares[0] * self.energy_rmse**2 + shares[1] * self.force_rmse**2


def compute_errors(network: AtomEnergyNetwork, frames: FrameSet, chosen: collections.abc.Sequence[int]) -> Errors:
    """The errors over some frames, at least one."""
    d_energy, d_forces = [], []
    for start in range(0, len(chosen), FRAMES_IN_PART):
        batch = frames.select(chosen[start : start + FRAMES_IN_PART])
        energies, forces = compute_batch(network, batch, differentiable=False)
        d_energy.append((energies - batch.energies).to(torch.float64))
        d_forces.append((forces - batch.forces).reshape(-1).to(torch.float64))
    energy, forces = torch.cat(d_energy), torch.cat(d_forces)
    return Errors(
        float(energy.abs().mean()),
        float(energy.square().mean().sqrt()),
        float(forces.abs().mean()),
        float(forces.square().mean().sqrt()),
    )


class Trainer:
    """A network in training; its state is plain values and tensors."""

    def __init__(
        self,
        network: AtomEnergyNetwork,
        settings: TrainingSettings,
        frames: FrameSet,
        training: collections.abc.Sequence[int],
        validation: collections.abc.Sequence[int],
        ranks: Ranks,
    ):
        """Takes the network, which changes, the frames, and which of them train and which validate."""
        self.network, self.settings, self.frames = network, settings, frames
        self.training = torch.as_tensor(training)
        self.validation, self.ranks = validation, ranks
        self.average = copy.deepcopy(network) if settings.averaging is not None else network
        self.optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
        self.epoch = self.n_steps = self.n_bad_epochs = self.n_stale_epochs = 0
        self.factor, self.best_loss = 1.0, math.inf
        self.best_weights = _copy_weights(self.average)

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        settings = self.settings
        rate = settings.learning_rate * self.factor
        if settings.schedule == "cosine":
            n_steps = settings.max_epochs * max(1, -(-len(self.training) // settings.batch_size))
            rate *= 0.5 * (1.0 + math.cos(math.pi * min(1.0, self.n_steps / n_steps)))
        if self.n_steps < settings.warm_up_steps:
            risen = self.n_steps / settings.warm_up_steps
            rate *= settings.warm_up_factor + (1.0 - settings.warm_up_factor) * risen
        return rate

    @property
    def is_finished(self) -> bool:
        settings = self.settings
        is_small = (
            settings.schedule == "plateau" and settings.learning_rate * self.factor < settings.smallest_learning_rate
        )
        is_stale = settings.early_stopping is not None and self.n_stale_epochs >= settings.early_stopping
        return self.epoch >= settings.max_epochs or is_small or is_stale

    def run_epoch(self) -> float:
        """One pass through the training frames; returns the mean loss of its batches."""
        generator = make_generator(self.settings.seed, "order", self.epoch)
        order = self.training[torch.randperm(len(self.training), generator=generator)]
        losses = [self._make_step(batch) for batch in order.split(self.settings.batch_size)]
        self.epoch += 1
        return sum(losses) / len(losses)

    def _make_step(self, chosen: torch.Tensor) -> float:
        shares = (self.settings.energy_share, self.settings.force_share)
        parameters = list(self.network.parameters())
        parts = chosen.split(FRAMES_IN_PART)
        n_components = 3 * int(self.frames.n_atoms[chosen].sum())
        rows = torch.zeros((len(parts), 1 + sum(p.numel() for p in parameters)), dtype=torch.float64)
        for k in range(self.ranks.rank, len(parts), self.ranks.world_size):
            loss = compute_loss(self.network, self.frames.select(parts[k]), shares, (len(chosen), n_components))
            gradients = torch.autograd.grad(loss, parameters)
            flat = [gradient.reshape(-1).to(torch.float64).cpu() for gradient in gradients]
            rows[k] = torch.cat([loss.detach().reshape(1).to(torch.float64).cpu(), *flat])
        self.ranks.sum_in_place(rows)
        total = rows.sum(0)
        self._move(parameters, total[1:])
        return float(total[0])

    def _move(self, parameters: list[torch.nn.Parameter], gradient: torch.Tensor) -> None:
        if self.settings.clipping is not None:
            gradient = gradient * min(1.0, self.settings.clipping / max(float(gradient.norm()), 1e-300))
        start = 0
        for parameter in parameters:
            parameter.grad = gradient[start : start + parameter.numel()].reshape(parameter.shape).to(parameter)
            start += parameter.numel()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.optimizer.step()
        self.n_steps += 1
        if self.settings.averaging is not None:
            decay = min(self.settings.averaging, (1.0 + self.n_steps) / (10.0 + self.n_steps))
            with torch.no_grad():
                for mean, parameter in zip(self.average.parameters(), parameters, strict=True):
                    mean.lerp_(parameter, 1.0 - decay)

    def validate(self) -> Errors | None:
        """The errors on the validation frames; the best weights and the learning rate follow them.

        Without validation frames the last weights are the best, and there are no errors.
        """
        if not len(self.validation):
            self.best_weights = _copy_weights(self.average)
            return None
        errors = compute_errors(self.average, self.frames, self.validation)
        loss = errors.compute_loss((self.settings.energy_share, self.settings.force_share))
        if loss < self.best_loss:
            self.best_loss = loss
            self.best_weights = _copy_weights(self.average)
            self.n_bad_epochs = self.n_stale_epochs = 0
        else:
            self.n_bad_epochs += 1
            self.n_stale_epochs += 1
            if self.settings.schedule == "plateau" and self.n_bad_epochs > self.settings.patience:
                self.factor, self.n_bad_epochs = self.factor * self.settings.decay, 0
        return errors

    def get_state(self) -> dict[str, typing.Any]:
        """All that :meth:`set_state` needs to go on, bit for bit."""
        names = ("epoch", "n_steps", "n_bad_epochs", "n_stale_epochs", "factor", "best_loss", "best_weights")
        return {
            **{name: getattr(self, name) for name in names},
            "weights": _copy_weights(self.network),
            "average": _copy_weights(self.average),
            "optimizer": self.optimizer.state_dict()["state"],
        }

    def set_state(self, state: dict[str, typing.Any]) -> None:
        state = dict(state)
        self.network.load_state_dict(state.pop("weights"))
        self.average.load_state_dict(state.pop("average"))
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state.pop("optimizer")})
        for name, value in state.items():
            setattr(self, name, value)


def _copy_weights(network: AtomEnergyNetwork) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}

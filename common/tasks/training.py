"""The training of one network of an ensemble: energies and forces, on its own sample, until validation says stop.

    L = w_E mean_b H((E_b - E_b*) / N_b; δ_E) + w_F mean_bac H(F_bac - F_bac*; δ_F),
    H(r; δ) = r²/2 for |r| < δ, else δ (|r| - δ/2)

over frames b, atoms a and components c. Forces are minus the gradient of the network's energy, and their errors are
differentiated with respect to the weights: most of what there is to learn stands in the forces.

Validated are averages of the weights over the last steps, which are nearer to the minimum than any step. Where they get
no better the learning rate falls, and after some falls the training ends: never after a number of steps that is too
small for the data, which would make each choice of data look as good as any other.
"""

import collections.abc
import copy
import dataclasses

import numpy
import torch

from common.neural.atom_energies import AtomEnergyNetwork
from common.potentials.ensemble import Frames, compute_energies_and_forces
from common.potentials.file import NetworkFile
from common.tasks.labels import Labels

RESAMPLINGS = ("bootstrap", "shuffle")
"""How a member's training set is drawn: with replacement, the rest validating; or a share left out to validate."""

LEARNING_RATE_DROP = 0.4
"""By which the learning rate falls where validation gets no better."""

LARGEST_GRADIENT = 20.0
"""Norm of the gradient at which it is cut: a frame that is far off must not throw the weights away."""


class TrainingError(RuntimeError):
    """A network could not be trained; the message says why."""


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Attributes:
        energy_weight, force_weight: w_E [mol²/kcal²] and w_F [Å² mol²/kcal²].
        energy_delta: δ_E [kcal/mol] per atom.
        force_delta: δ_F [kcal/mol/Angstrom].
        max_force: [kcal/mol/Angstrom] frames with a larger force on an atom are not trained on.
        resampling: one of ``RESAMPLINGS``.
        validation_fraction: share that validates, with "shuffle".
        batch_size: frames a step.
        learning_rate: of Adam, at the start.
        evaluation_interval: steps between two validations.
        patience: validations without an improvement before the learning rate falls.
        n_drops: falls of the learning rate; at the next the training ends.
        max_steps: at which a training ends that still gets better.
        averaging: decay of the average of the weights, a step.
        device: of torch.
    """

    energy_weight: float = 10.0
    force_weight: float = 1.0
    energy_delta: float = 2.306
    force_delta: float = 230.6
    max_force: float = 230.6
    resampling: str = "bootstrap"
    validation_fraction: float = 0.1
    batch_size: int = 8
    learning_rate: float = 2e-3
    evaluation_interval: int = 25
    patience: int = 4
    n_drops: int = 2
    max_steps: int = 5000
    averaging: float = 0.98
    device: str = "cpu"


@dataclasses.dataclass(frozen=True)
class Progress:
    """What a training was like; errors are root mean squares [kcal/mol/Angstrom] of force components.

    Attributes:
        n_steps: that were done.
        best_step: whose averaged weights are kept.
        training_error, validation_error: of these weights.
        n_training, n_validation: frames; those that were drawn several times count once.
        n_excluded: frames whose forces are too large.
        has_converged: False where the training still got better at its last step.
    """

    n_steps: int
    best_step: int
    training_error: float
    validation_error: float
    n_training: int
    n_validation: int
    n_excluded: int
    has_converged: bool


def draw_sample(n: int, settings: TrainingSettings, seed: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The frames that a member trains on, some of them several times, and those that it is validated on.

    Args:
        n: of frames, at least 2.
        settings: say how.
        seed: of the draw.
    """
    random = numpy.random.default_rng(seed)
    if settings.resampling == "shuffle":
        order = random.permutation(n)
        n_validation = min(max(round(settings.validation_fraction * n), 1), n - 1)
        return order[n_validation:], order[:n_validation]
    while True:
        drawn = random.integers(0, n, n)
        left = numpy.setdiff1d(numpy.arange(n), drawn)
        if len(left) and len(left) < n:
            return drawn, left


def fit_references(network: AtomEnergyNetwork, labels: Labels, device: str) -> dict[int, float]:
    """References of the elements with which the network, as it is, is right on average.

    Least squares of the total energies less what the network gives, on the numbers of atoms of each element; of those
    that fit equally well, the smallest: one molecule alone does not tell its elements apart.

    Returns:
        [kcal/mol] by atomic number.
    """
    energies, _ = compute_energies_and_forces(network, _to_frames(labels, device))
    elements = numpy.unique(labels.numbers)
    counts = numpy.zeros((len(labels), len(elements)))
    structures = numpy.repeat(numpy.arange(len(labels)), labels.n_atoms)
    numpy.add.at(counts, (structures, numpy.searchsorted(elements, labels.numbers)), 1.0)
    wanted = labels.energies - energies.double().cpu().numpy()
    solution = numpy.linalg.lstsq(counts, wanted, rcond=None)[0]
    return dict(zip(elements.tolist(), solution.tolist(), strict=True))


def compute_loss(
    network: AtomEnergyNetwork,
    frames: Frames,
    energies: torch.Tensor,
    forces: torch.Tensor,
    settings: TrainingSettings,
) -> torch.Tensor:
    """L of the module's docstring, a differentiable scalar.

    Args:
        network: whose weights are to be trained.
        frames: of the batch.
        energies: [kcal/mol] relative to the references, ``shape=(n_frames,)``.
        forces: [kcal/mol/Angstrom] ``shape=(n_atoms, 3)``.
        settings: weights and limits.
    """
    predicted_energies, predicted_forces = compute_energies_and_forces(network, frames, differentiable=True)
    per_atom = (predicted_energies - energies) / frames.n_atoms
    of_energies = _huber(per_atom, settings.energy_delta)
    of_forces = _huber(predicted_forces - forces, settings.force_delta)
    return settings.energy_weight * of_energies + settings.force_weight * of_forces


def _huber(errors: torch.Tensor, delta: float) -> torch.Tensor:
    return torch.nn.functional.huber_loss(errors, torch.zeros_like(errors), delta=delta)


def train_member(
    network: AtomEnergyNetwork,
    labels: Labels,
    settings: TrainingSettings,
    seed: int,
    on_evaluation: collections.abc.Callable[[int, float], None] = lambda step, error: None,
) -> tuple[NetworkFile, Progress]:
    """Trains a copy of a network.

    Args:
        network: with the starting weights; stays as it is.
        labels: all that there are.
        settings: how.
        seed: of the sample and of the order of the frames.
        on_evaluation: is told the step and the validation error [kcal/mol/Angstrom].

    Raises:
        TrainingError: there are fewer than two frames, or the loss is not finite.
    """
    usable = numpy.flatnonzero(labels.find_largest_forces() <= settings.max_force)
    n_excluded = len(labels) - len(usable)
    if len(usable) < 2:
        raise TrainingError(
            f"{len(usable)} structures to train on, {n_excluded} left out for forces above "
            f"{settings.max_force:g} kcal/mol/Å: at least two are needed"
        )
    labels = labels.select(usable)
    training, validation = draw_sample(len(labels), settings, seed)
    network = copy.deepcopy(network).to(settings.device)
    references = fit_references(network, labels, settings.device)
    run = _Run(network, labels, references, training, validation, settings, seed)
    run.train(on_evaluation)
    network.load_state_dict(run.best_weights)
    progress = Progress(
        n_steps=run.n_steps,
        best_step=run.best_step,
        training_error=run.measure(numpy.unique(training)),
        validation_error=run.best_error,
        n_training=len(numpy.unique(training)),
        n_validation=len(validation),
        n_excluded=n_excluded,
        has_converged=run.has_converged,
    )
    return NetworkFile(network, references, dataclasses.asdict(progress)), progress


class _Run:
    """The state of a training."""

    def __init__(
        self,
        network: AtomEnergyNetwork,
        labels: Labels,
        references: dict[int, float],
        training: numpy.ndarray,
        validation: numpy.ndarray,
        settings: TrainingSettings,
        seed: int,
    ):
        self.network, self.settings = network, settings
        self.frames = _to_frames(labels, settings.device)
        by_atom = numpy.array([references[number] for number in labels.numbers.tolist()])
        offsets = numpy.add.reduceat(by_atom, labels.starts)
        dtype = network.embedding.weight.dtype
        self.energies = torch.from_numpy(labels.energies - offsets).to(settings.device, dtype)
        self.forces = torch.from_numpy(labels.forces).to(settings.device, dtype)
        self.training, self.validation = training, validation
        self.random = numpy.random.default_rng([seed, 1])
        self.averages = [parameter.detach().clone() for parameter in network.parameters()]
        self.n_steps = self.best_step = 0
        self.has_converged = False
        self.best_error = self.measure(validation)
        self.best_weights = copy.deepcopy(network.state_dict())

    def train(self, on_evaluation: collections.abc.Callable[[int, float], None]) -> None:
        settings = self.settings
        optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)
        n_waited, n_drops = 0, 0
        for batch in self._draw_batches():
            self._step(optimizer, batch)
            if self.n_steps % settings.evaluation_interval:
                continue
            if self._evaluate(on_evaluation):
                n_waited = 0
                continue
            n_waited += 1
            if n_waited < settings.patience:
                continue
            if n_drops == settings.n_drops:
                self.has_converged = True
                return
            n_drops, n_waited = n_drops + 1, 0
            for group in optimizer.param_groups:
                group["lr"] *= LEARNING_RATE_DROP

    def _draw_batches(self) -> collections.abc.Iterator[torch.Tensor]:
        """Epoch after epoch in new orders, the last and smaller batch of each left out where there is another."""
        size = min(self.settings.batch_size, len(self.training))
        while self.n_steps < self.settings.max_steps:
            order = self.training[self.random.permutation(len(self.training))]
            for start in range(0, len(order) - size + 1, size):
                if self.n_steps < self.settings.max_steps:
                    yield torch.from_numpy(order[start : start + size]).to(self.settings.device)

    def _step(self, optimizer: torch.optim.Optimizer, batch: torch.Tensor) -> None:
        forces = self.forces[self.frames.list_atoms(batch)]
        loss = compute_loss(self.network, self.frames.select(batch), self.energies[batch], forces, self.settings)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        if not torch.isfinite(norm):
            raise TrainingError(f"the gradient of the loss is {norm.item():g} at step {self.n_steps + 1}")
        optimizer.step()
        self.n_steps += 1
        decay = min(self.settings.averaging, self.n_steps / (self.n_steps + 9.0))  # the first steps are far away
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, list(self.network.parameters()), 1.0 - decay)

    def _evaluate(self, on_evaluation: collections.abc.Callable[[int, float], None]) -> bool:
        """Validates the averages; True where they are the best so far."""
        trained = [parameter.detach().clone() for parameter in self.network.parameters()]
        self._set_weights(self.averages)
        error = self.measure(self.validation)
        is_better = error < self.best_error
        if is_better:
            self.best_error, self.best_step = error, self.n_steps
            self.best_weights = copy.deepcopy(self.network.state_dict())
        self._set_weights(trained)
        on_evaluation(self.n_steps, error)
        return is_better

    def _set_weights(self, weights: collections.abc.Sequence[torch.Tensor]) -> None:
        with torch.no_grad():
            for parameter, weight in zip(self.network.parameters(), weights, strict=True):
                parameter.copy_(weight)

    def measure(self, frames: numpy.ndarray) -> float:
        """The RMS error of force components over some frames."""
        total, count = 0.0, 0
        for chunk in torch.from_numpy(frames).to(self.settings.device).split(64):
            _, forces = compute_energies_and_forces(self.network, self.frames.select(chunk))
            errors = (forces - self.forces[self.frames.list_atoms(chunk)]).double()
            total, count = total + float((errors**2).sum()), count + errors.numel()
        return (total / count) ** 0.5


def _to_frames(labels: Labels, device: str) -> Frames:
    return Frames(
        torch.from_numpy(labels.numbers).to(device),
        torch.from_numpy(labels.coords).to(device),
        torch.from_numpy(labels.n_atoms).to(device),
    )

"""One step of learning: the gradient of the observables' loss by reweighting, and that of the quantum loss beside it.

Sums over frames are made block by block and then added up in the order of the blocks: with the blocks dealt to any
number of processes the gradient is the same to the last bit, and the spread of the blocks is its error for free.
"""

import collections.abc
import dataclasses
import typing

import torch

from common.observables.observable import Observable
from common.processes.ranks import Ranks
from common.stability.pool import PoolEpoch, collect_samples
from common.stability.reweighting import compute_means, reweight
from common.stability.sharing import deal


class EnergyModel(typing.Protocol):
    """What is learnt: energies that depend on parameters, of frames and of their molecules.

    Attributes:
        parameters: the leaves that an optimiser changes in place.
    """

    parameters: list[torch.Tensor]

    def prepare(self, coords: torch.Tensor) -> typing.Any:
        """What :meth:`compute` needs of frames, worked out once."""
        ...

    def compute(self, prepared: typing.Any) -> torch.Tensor:
        """Energies [kcal/mol] of frames or molecules, ``shape=(n_frames, n_parts)``; differentiable."""
        ...

    def compute_quantum_losses(self, key: tuple) -> list[collections.abc.Callable[[], torch.Tensor]]:
        """Parts of the quantum loss, each a scalar when called, which add up to it; ``key`` names the step."""
        ...

    def restrain(self) -> None:
        """After some steps: brings the parameters back to where the model's limits hold, where it has any."""
        ...


@dataclasses.dataclass(frozen=True)
class Target:
    """An observable, what its mean should be, and the weight of its loss."""

    observable: Observable
    values: torch.Tensor
    weight: float


@dataclasses.dataclass(frozen=True)
class Step:
    """What a step of learning found, before the optimiser moved.

    Attributes:
        gradient: of the whole loss, flat.
        observable_loss, quantum_loss: without the weight of the latter.
        losses: of each observable, without its weight.
        n_effective: of the frames.
        observable_norm, quantum_norm: lengths of the two parts of the gradient, weights included.
        cosine: of the angle between them; 0 where one of them vanishes.
        significance: length of the observables' gradient over its standard error.
    """

    gradient: torch.Tensor
    observable_loss: float
    quantum_loss: float
    losses: dict[str, float]
    n_effective: float
    observable_norm: float
    quantum_norm: float
    cosine: float
    significance: float


class PoolGradient:
    """The gradient over a pool of frames that stays while several steps are made."""

    def __init__(
        self,
        model: EnergyModel,
        pool: list[PoolEpoch],
        targets: dict[str, Target],
        temperature: float,
        n_blocks: int,
        quantum_weight: float,
        ranks: Ranks,
    ):
        """Prepares the frames of this rank's blocks.

        Args:
            model: what is learnt.
            pool: the frames; the same on every rank. Empty where nothing but quantum data is learnt from.
            targets: by the name of an observable.
            temperature: [K].
            n_blocks: to which frames were dealt.
            quantum_weight: of the quantum loss.
            ranks: who shares the work.
        """
        self.model, self.targets, self.temperature = model, targets, temperature
        self.quantum_weight, self.ranks, self.n_blocks = quantum_weight, ranks, n_blocks
        self.samples = collect_samples(pool) if pool and targets else None
        if self.samples is not None:
            n_parts = pool[0].energies.shape[1]
            blocks = torch.cat([epoch.blocks for epoch in pool])
            coords = torch.cat([epoch.coords for epoch in pool])
            places = torch.arange(len(blocks) * n_parts).reshape(len(blocks), n_parts)
            self.mine = [
                (block, places[blocks == block], model.prepare(coords[blocks == block]))
                for block in deal(n_blocks, ranks).tolist()
            ]

    def compute(self, key: tuple) -> Step:
        """The gradient at the parameters as they are; ``key`` names the step, e.g. (seed, epoch, step)."""
        losses: dict[str, float] = {}
        observable_rows, n_effective, observable_loss = self._compute_observable_rows(losses)
        quantum_rows, quantum_loss = self._compute_quantum_rows(key)
        rows = torch.cat((observable_rows, quantum_rows))
        self.ranks.sum_in_place(rows)
        observable, quantum = rows[: self.n_blocks].sum(0), self.quantum_weight * rows[self.n_blocks :].sum(0)
        norms = float(observable.norm()), float(quantum.norm())
        return Step(
            gradient=observable + quantum,
            observable_loss=observable_loss,
            quantum_loss=quantum_loss,
            losses=losses,
            n_effective=n_effective,
            observable_norm=norms[0],
            quantum_norm=norms[1],
            cosine=float(observable @ quantum) / (norms[0] * norms[1]) if min(norms) > 0.0 else 0.0,
            significance=_compute_significance(rows[: self.n_blocks]),
        )

    def _compute_observable_rows(self, losses: dict[str, float]) -> tuple[torch.Tensor, float, float]:
        """One row of the gradient for each block; those of other ranks are 0."""
        parameters = self.model.parameters
        rows = torch.zeros((self.n_blocks, sum(p.numel() for p in parameters)), dtype=torch.float64)
        if self.samples is None:
            return rows, 0.0, 0.0
        graphs = []
        energies = torch.zeros(len(self.samples.energies), dtype=torch.float64)
        for block, places, prepared in self.mine:
            if places.numel():
                own = self.model.compute(prepared)
                energies[places] = own.detach().to(energies)
                graphs.append((block, places, own))
        self.ranks.sum_in_place(energies)
        energies.requires_grad_()
        weights = reweight(self.samples, energies, self.temperature)
        means = compute_means(self.samples, weights)
        total = energies.new_zeros(())
        for name, target in self.targets.items():
            loss = target.observable.compute_loss(means[name], target.values)
            losses[name] = loss.item()
            total = total + target.weight * loss
        (slopes,) = torch.autograd.grad(total, energies)
        for block, places, own in graphs:
            rows[block] = _differentiate(own, parameters, slopes[places].to(own))
        return rows, float(weights.n_effective.sum()), total.item()

    def _compute_quantum_rows(self, key: tuple) -> tuple[torch.Tensor, float]:
        """One row of the gradient for each part of the quantum loss."""
        parameters = self.model.parameters
        parts = self.model.compute_quantum_losses(key) if self.quantum_weight else []
        rows = torch.zeros((len(parts), sum(p.numel() for p in parameters)), dtype=torch.float64)
        losses = torch.zeros(len(parts), dtype=torch.float64)
        for part in deal(len(parts), self.ranks).tolist():
            loss = parts[part]()
            losses[part] = loss.item()
            rows[part] = _differentiate(loss, parameters, None)
        self.ranks.sum_in_place(losses)
        return rows, float(losses.sum())


def _differentiate(output: torch.Tensor, parameters: list[torch.Tensor], slopes: torch.Tensor | None) -> torch.Tensor:
    gradients = torch.autograd.grad(output, parameters, slopes, allow_unused=True)
    return torch.cat(
        [
            (torch.zeros_like(parameter) if gradient is None else gradient).reshape(-1).to(torch.float64).cpu()
            for gradient, parameter in zip(gradients, parameters, strict=True)
        ]
    )


def _compute_significance(rows: torch.Tensor) -> float:
    """|Σ| over its standard error, the rows being independent contributions."""
    n_rows = len(rows)
    error = float((rows - rows.mean(0)).square().sum().mul(n_rows / max(1, n_rows - 1)).sqrt())
    return float(rows.sum(0).norm()) / error if error > 0.0 else 0.0


class Optimizer:
    """Adam or plain steps on the parameters of a model, with clipping; its state is plain tensors."""

    def __init__(self, model: EnergyModel, name: str, learning_rate: float, clipping: float | None):
        """Takes "adam" or "sgd", the learning rate, and the largest length of a gradient, or None."""
        kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[name]
        self._parameters, self._clipping = model.parameters, clipping
        self._optimizer = kind(self._parameters, lr=learning_rate)

    def move(self, gradient: torch.Tensor) -> None:
        """One step against a flat gradient."""
        if self._clipping is not None:
            gradient = gradient * min(1.0, self._clipping / max(float(gradient.norm()), 1e-300))
        start = 0
        for parameter in self._parameters:
            own = gradient[start : start + parameter.numel()].reshape(parameter.shape)
            parameter.grad = own.to(parameter)
            start += parameter.numel()
        self._optimizer.step()

    def set_learning_rate(self, learning_rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate

    def get_state(self) -> dict[str, typing.Any]:
        """What :meth:`set_state` needs to go on, bit for bit."""
        return self._optimizer.state_dict()["state"]

    def set_state(self, state: dict[str, typing.Any]) -> None:
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state})

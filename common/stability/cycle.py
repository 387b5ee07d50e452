"""The cycle: simulate until enough replicas have failed, learn until none fails, and again.

A replica that fails while simulating is parked where that epoch began for it; the others go on. Learning starts all of
them there again and again, with other noise, and changes the parameters in between. What one epoch hands to the next
is a :class:`common.stability.run_state.RunState` of plain tensors and numbers, the same on every rank: an epoch
depends on nothing else, so that a run that was killed goes on from the last state to the same bits.
"""

import collections.abc
import dataclasses
import typing

import torch

from common.dynamics.noise import ReplicaNoise
from common.dynamics.states import Evaluate, State, begin
from common.observables.deviations import Deviation
from common.processes.generators import make_generator
from common.processes.ranks import Ranks
from common.replicas.epochs import Epoch, EpochSettings, Frames, Integrator, run_epoch
from common.stability.learning import EnergyModel, Optimizer, PoolGradient, Step, Target
from common.stability.pool import PoolEpoch, score, thin
from common.stability.run_state import LEARNING, SIMULATION, Report, RunState
from common.stability.sharing import collect_dealt, deal, gather_rows

MAX_KEPT_STARTS = 20
"""Epochs to whose beginnings replicas may be sent back."""


@dataclasses.dataclass(frozen=True)
class CycleSettings:
    """When phases end, and how learning goes.

    Attributes:
        seed: of noise, of who is sent back, of the frames that stay.
        n_replicas: how many.
        n_cycles: of simulation and learning.
        max_simulation_epochs, max_learning_epochs: in a phase; a cycle without simulation learns at once.
        unstable_share_to_learn: a simulation ends when so many replicas are parked.
        unstable_share_to_stop, n_calm_epochs: learning ends after so many epochs in a row in which so few fail; with
            None it does not, and the learning rate stays: there is something to learn besides stability.
        reset_share: of the replicas that are not parked, sent back to an earlier epoch at the start of a cycle.
        frames_per_epoch: that stay of an epoch of learning.
        pool_epochs: whose frames are learnt from.
        n_inner_steps: of the optimiser in an epoch, at most.
        smallest_effective_share: of the effective number of frames at an epoch's start; below, its steps end.
        n_blocks: of replicas, whose gradients are summed apart.
        optimizer: "adam" or "sgd".
        learning_rate: of it.
        clipping: the largest length of a gradient, or None.
        patience: epochs without a smaller share of failures before the learning rate falls.
        decay: by which factor it falls.
        max_decays: how often; learning ends instead of one more.
        quantum_weight: of the quantum loss.
    """

    seed: int = 0
    n_replicas: int = 32
    n_cycles: int = 1
    max_simulation_epochs: int = 10
    max_learning_epochs: int = 12
    unstable_share_to_learn: float = 0.75
    unstable_share_to_stop: float | None = 0.0
    n_calm_epochs: int = 3
    reset_share: float = 0.05
    frames_per_epoch: int = 200
    pool_epochs: int = 8
    n_inner_steps: int = 10
    smallest_effective_share: float = 0.4
    n_blocks: int = 16
    optimizer: str = "adam"
    learning_rate: float = 3e-4
    clipping: float | None = None
    patience: int = 10
    decay: float = 0.2
    max_decays: int = 2
    quantum_weight: float = 1.0


class Cycle:
    """What stays the same from epoch to epoch, and how an epoch is done."""

    def __init__(
        self,
        settings: CycleSettings,
        epoch_settings: EpochSettings,
        integrator: Integrator,
        freeze: collections.abc.Callable[[], Evaluate],
        model: EnergyModel,
        deviations: collections.abc.Sequence[Deviation],
        targets: dict[str, Target],
        temperature: float,
        is_localized: bool,
        ranks: Ranks,
    ):
        """Takes the parts.

        Args:
            settings, epoch_settings, integrator: how.
            freeze: gives the function that moves replicas, with the parameters of ``model`` as they are.
            model: what is learnt.
            deviations: what makes a replica fail.
            targets: what is learnt towards; none for a control run.
            temperature: [K] of the reweighting.
            is_localized: whether molecules are reweighted for themselves, as ``model`` gives their energies.
            ranks: who shares the work.
        """
        self.settings, self.epoch_settings, self.integrator = settings, epoch_settings, integrator
        self.freeze, self.model = freeze, model
        self.deviations, self.targets, self.temperature = deviations, targets, temperature
        self.is_localized, self.ranks = is_localized, ranks

    def begin(self, coords: torch.Tensor, velocities: torch.Tensor) -> RunState:
        """The state before the first epoch, replicas at ``coords`` with ``velocities``."""
        n_replicas, n_thermostats = len(coords), self.integrator.n_thermostats
        return RunState(
            cycle=1,
            phase=SIMULATION if self.settings.max_simulation_epochs else LEARNING,
            epoch=1,
            n_epochs=0,
            parameters=[parameter.detach().clone() for parameter in self.model.parameters],
            optimizer={},
            n_decays=0,
            best_share=2.0,
            n_bad_epochs=0,
            n_calm_epochs=0,
            coords=coords,
            velocities=velocities,
            thermostat=coords.new_zeros((n_replicas, 2, n_thermostats)),
            is_parked=torch.zeros(n_replicas, dtype=torch.bool),
            stable_steps=torch.zeros(n_replicas, dtype=torch.int64),
            earlier=[],
            pool=[],
        )

    def restore(self, state: RunState) -> None:
        """Gives the model the parameters of a state."""
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters, state.parameters, strict=True):
                parameter.copy_(value)

    def run_epoch(self, state: RunState) -> tuple[RunState, Report]:
        """The next epoch."""
        self.restore(state)
        return self._simulate(state) if state.phase == SIMULATION else self._learn(state)

    def _run_replicas(self, state: RunState, replicas: torch.Tensor) -> Epoch:
        """An epoch of some replicas, dealt to all ranks; the same on each."""
        mine = replicas[deal(len(replicas), self.ranks)]
        evaluate = self.freeze()
        start = begin(evaluate, state.coords[mine], state.velocities[mine])
        start = dataclasses.replace(start, thermostat=state.thermostat[mine])
        noise = None
        if self.integrator.needs_noise:
            generators = [
                make_generator(self.settings.seed, "noise", state.n_epochs, replica) for replica in mine.tolist()
            ]
            noise = ReplicaNoise(generators, start.coords.shape[1], start.coords.dtype, str(start.coords.device))
        epoch = run_epoch(self.integrator, evaluate, start, noise, self.deviations, self.epoch_settings)
        return self._gather(epoch, len(replicas), mine)

    def _gather(self, epoch: Epoch, n_replicas: int, mine: torch.Tensor) -> Epoch:
        def collect(tensor: torch.Tensor) -> torch.Tensor:
            return collect_dealt(n_replicas, self.ranks, tensor)

        names = ["", *(deviation.name for deviation in self.deviations)]
        causes = collect(torch.tensor([names.index(cause) for cause in epoch.causes], dtype=torch.int64))
        frames = Frames(
            gather_rows(self.ranks, epoch.frames.coords),
            gather_rows(self.ranks, epoch.frames.velocities),
            gather_rows(self.ranks, mine[epoch.frames.replicas]),
            gather_rows(self.ranks, epoch.frames.steps),
            gather_rows(self.ranks, epoch.frames.weights),
        )
        order = torch.argsort(frames.replicas * (self.epoch_settings.n_steps + 1) + frames.steps, stable=True)
        fields = [getattr(frames, field.name)[order] for field in dataclasses.fields(Frames)]
        return Epoch(
            State(*(collect(getattr(epoch.state, field.name)) for field in dataclasses.fields(State))),
            collect(epoch.failure_steps),
            Frames(*fields),
            tuple(names[cause] for cause in causes.tolist()),
        )

    def _simulate(self, state: RunState) -> tuple[RunState, Report]:
        settings = self.settings
        state = self._send_back(state) if state.epoch == 1 else state
        replicas = torch.nonzero(~state.is_parked)[:, 0]
        epoch = self._run_replicas(state, replicas)
        survivors = replicas[~epoch.has_failed]
        coords, velocities, thermostat = (
            getattr(state, name).clone() for name in ("coords", "velocities", "thermostat")
        )
        for name, tensor in (("coords", coords), ("velocities", velocities), ("thermostat", thermostat)):
            tensor[survivors] = getattr(epoch.state, name)[~epoch.has_failed]
        is_parked = state.is_parked.clone()
        is_parked[replicas[epoch.has_failed]] = True
        stable_steps = state.stable_steps.clone()
        stable_steps[replicas] += torch.where(epoch.has_failed, epoch.failure_steps, self.epoch_settings.n_steps)
        share = float(is_parked.float().mean())
        is_over = share >= settings.unstable_share_to_learn or state.epoch >= settings.max_simulation_epochs
        new = dataclasses.replace(
            state,
            epoch=state.epoch + 1,
            n_epochs=state.n_epochs + 1,
            coords=coords,
            velocities=velocities,
            thermostat=thermostat,
            is_parked=is_parked,
            stable_steps=stable_steps,
            earlier=[*state.earlier, (state.coords, state.velocities, state.thermostat)][-MAX_KEPT_STARTS:],
        )
        if is_over:
            new = self._begin_learning(new, share)
        report = self._report(state, epoch, share, (), 0.0, new)
        return new, report

    def _send_back(self, state: RunState) -> RunState:
        """At the start of a cycle nobody is parked, and some begin at an earlier epoch's start."""
        coords, velocities, thermostat = (
            getattr(state, name).clone() for name in ("coords", "velocities", "thermostat")
        )
        if state.earlier:
            generator = make_generator(self.settings.seed, "reset", state.n_epochs)
            stable = torch.nonzero(~state.is_parked)[:, 0]
            n_sent = round(self.settings.reset_share * len(stable))
            sent = stable[torch.randperm(len(stable), generator=generator)[:n_sent]]
            for replica in sent.tolist():
                choice = int(torch.randint(len(state.earlier), (), generator=generator))
                for tensor, values in zip((coords, velocities, thermostat), state.earlier[choice], strict=True):
                    tensor[replica] = values[replica]
        return dataclasses.replace(
            state,
            coords=coords,
            velocities=velocities,
            thermostat=thermostat,
            is_parked=torch.zeros_like(state.is_parked),
            stable_steps=torch.zeros_like(state.stable_steps),
        )

    def _begin_learning(self, state: RunState, share: float) -> RunState:
        if share == 0.0:
            outcome = "nothing to repair" if state.cycle == 1 else "stable"
            return dataclasses.replace(state, outcome=outcome)
        return dataclasses.replace(
            state,
            phase=LEARNING,
            epoch=1,
            optimizer={},
            n_decays=0,
            best_share=2.0,
            n_bad_epochs=0,
            n_calm_epochs=0,
            pool=[],
        )

    def _learn(self, state: RunState) -> tuple[RunState, Report]:
        settings = self.settings
        replicas = torch.arange(settings.n_replicas)
        epoch = self._run_replicas(state, replicas)
        share = float(epoch.has_failed.float().mean())
        limit = settings.unstable_share_to_stop
        n_calm_epochs = state.n_calm_epochs + 1 if limit is not None and share <= limit else 0
        if n_calm_epochs >= settings.n_calm_epochs:
            new = self._end_learning(state, f"{n_calm_epochs} epochs without a failure of any replica")
            return new, self._report(state, epoch, share, (), 0.0, new)
        pool = [*state.pool, self._make_pool_epoch(state, epoch.frames)][-settings.pool_epochs :]
        is_better = share < state.best_share or limit is None
        n_bad_epochs = 0 if is_better else state.n_bad_epochs + 1
        n_decays = state.n_decays + (n_bad_epochs > settings.patience)
        n_bad_epochs = 0 if n_bad_epochs > settings.patience else n_bad_epochs
        learning_rate = settings.learning_rate * settings.decay**n_decays
        state = dataclasses.replace(
            state,
            best_share=min(share, state.best_share),
            n_bad_epochs=n_bad_epochs,
            n_calm_epochs=n_calm_epochs,
            n_decays=n_decays,
            pool=pool,
        )
        if n_decays > settings.max_decays:
            new = self._end_learning(state, "the learning rate has fallen as often as it may")
            return new, self._report(state, epoch, share, (), 0.0, new)
        steps, optimizer = self._make_steps(state, learning_rate)
        new = dataclasses.replace(
            state,
            epoch=state.epoch + 1,
            n_epochs=state.n_epochs + 1,
            parameters=[parameter.detach().clone() for parameter in self.model.parameters],
            optimizer=optimizer,
        )
        if state.epoch >= settings.max_learning_epochs:
            new = self._end_learning(
                dataclasses.replace(new, n_epochs=state.n_epochs), "as many epochs as were asked for"
            )
        return new, self._report(state, epoch, share, steps, learning_rate, new)

    def _make_pool_epoch(self, state: RunState, frames: Frames) -> PoolEpoch:
        generator = make_generator(self.settings.seed, "thin", state.n_epochs)
        frames = thin(frames, self.settings.frames_per_epoch, generator)
        observables = {name: target.observable for name, target in self.targets.items()}
        blocks = frames.replicas % self.settings.n_blocks
        return score(frames, blocks, self._compute_energies, observables, self.is_localized)

    def _compute_energies(self, coords: torch.Tensor) -> torch.Tensor:
        return self.model.compute(self.model.prepare(coords))

    def _make_steps(self, state: RunState, learning_rate: float) -> tuple[tuple[Step, ...], dict[str, typing.Any]]:
        settings = self.settings
        optimizer = Optimizer(self.model, settings.optimizer, learning_rate, settings.clipping)
        optimizer.set_state(state.optimizer)
        optimizer.set_learning_rate(learning_rate)
        gradient = PoolGradient(
            self.model,
            state.pool,
            self.targets,
            self.temperature,
            settings.n_blocks,
            settings.quantum_weight,
            self.ranks,
        )
        steps: list[Step] = []
        for k in range(settings.n_inner_steps):
            step = gradient.compute((settings.seed, state.n_epochs, k))
            if steps and step.n_effective < settings.smallest_effective_share * steps[0].n_effective:
                break
            steps.append(step)
            optimizer.move(step.gradient)
        self.model.restrain()
        return tuple(steps), optimizer.get_state()

    def _end_learning(self, state: RunState, why: str) -> RunState:
        """The next cycle, or the end of the run."""
        is_last = state.cycle >= self.settings.n_cycles
        return dataclasses.replace(
            state,
            cycle=state.cycle if is_last else state.cycle + 1,
            n_decays=0,
            best_share=2.0,
            n_bad_epochs=0,
            n_calm_epochs=0,
            phase=SIMULATION if self.settings.max_simulation_epochs else LEARNING,
            epoch=1,
            n_epochs=state.n_epochs + 1,
            pool=[],
            optimizer={},
            parameters=[parameter.detach().clone() for parameter in self.model.parameters],
            outcome=why if is_last else "",
        )

    def _report(
        self,
        state: RunState,
        epoch: Epoch,
        share: float,
        steps: tuple[Step, ...],
        learning_rate: float,
        new: RunState,
    ) -> Report:
        named = [cause for cause in epoch.causes if cause]
        return Report(
            cycle=state.cycle,
            phase=state.phase,
            epoch=state.epoch,
            n_simulated=len(epoch.causes),
            n_failed=int(epoch.has_failed.sum()),
            unstable_share=share,
            causes={name: named.count(name) for name in sorted(set(named))},
            steps=steps,
            learning_rate=learning_rate,
            n_frames=sum(len(own.coords) for own in state.pool),
            stable_steps=int(new.stable_steps.sum()),
            n_failures=int(new.is_parked.sum()),
        )

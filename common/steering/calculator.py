"""The Calculator: what is paid for, and in which order."""

import dataclasses

import numpy

from common.steering.records import Calculate, StructureComputed
from common.steering.sampler import Run, Sampler
from common.steering.selector import Selector
from common.steering.settings import SteeringSettings

FEWEST_TO_JUDGE = 10
"""Calculations before the share of failures among them says anything."""


@dataclasses.dataclass
class Account:
    """What was paid for.

    Attributes:
        n_paid: calculations, successful or not; the initial set is among them.
        n_labels: that may be trained on; the initial set is among them.
        n_failed: calculations that gave no energy, lost ones among them.
        n_lost: of which no result came: the worker died.
        n_repeated: that were known already and cost nothing.
        n_audits, n_chosen: of those that were paid for, without the initial set.
    """

    n_paid: int
    n_labels: int
    n_failed: int = 0
    n_lost: int = 0
    n_repeated: int = 0
    n_audits: int = 0
    n_chosen: int = 0


class Calculator:
    """Draws calculations from the audits and from the frames that were chosen, and keeps the account."""

    def __init__(self, settings: SteeringSettings, n_initial: int, random: numpy.random.Generator):
        self._settings = settings
        self._random = random
        self.account = Account(n_paid=n_initial, n_labels=n_initial)
        self.labels: list[str] = []
        """The keys of all calculations that may be trained on, in the order in which they came; not the initial set."""
        self.runs: dict[str, Run] = {}
        """The audits under way, by their tasks."""
        self.n_running = 0
        self._known: set[str] = set()
        self._n_initial = n_initial
        self._n_submitted = 0
        self._next_is_audit: bool | None = None

    def replace_settings(self, settings: SteeringSettings) -> None:
        """The campaign goes on with another budget and other workers."""
        self._settings = settings

    @property
    def n_affordable(self) -> int:
        """Calculations that the budget still allows beside those under way."""
        return self._settings.budget - self.account.n_paid - self.n_running

    @property
    def is_spent(self) -> bool:
        return self.account.n_paid >= self._settings.budget

    @property
    def fails_too_often(self) -> bool:
        n_tried = self.account.n_paid - self._n_initial
        return n_tried >= FEWEST_TO_JUDGE and self.account.n_failed > self._settings.max_failed_fraction * n_tried

    def draw(
        self, sampler: Sampler, selector: Selector, n_allowed: int, is_choice_coming: bool = False
    ) -> list[Calculate]:
        """Calculations for all free workers.

        By chance, in the shares of the settings, from the audits or from the frames that were chosen. In its turn a
        choice is waited for as long as one will come: else audits, which are there after each run of dynamics, would
        use up the budget before the pool is large enough to choose from. But the first audits go first, at most their
        share of the labels of a training: they say how long runs may be. Where audits have nothing, choices give.

        Args:
            sampler: has the audits.
            selector: has the choices.
            n_allowed: at most so many.
            is_choice_coming: whether there will be a choice without any further calculation.
        """
        commands: list[Calculate] = []
        n_free = min(self._settings.n_quantum_workers - self.n_running, self.n_affordable, n_allowed)
        while len(commands) < n_free:
            has_audits, has_choices = bool(sampler.audit_queue), bool(selector.choices)
            if has_audits and self._needs_run_length(sampler):
                commands.append(self._make_audit(sampler.audit_queue.popleft()))
                continue
            if self._next_is_audit is None:
                self._next_is_audit = bool(self._random.random() < self._settings.audit_share)
            if has_audits and (self._next_is_audit or not (has_choices or is_choice_coming)):
                commands.append(self._make_audit(sampler.audit_queue.popleft()))
            elif has_choices:
                choice = selector.choices.popleft()
                purpose = "random" if selector.is_by_chance else "active"
                commands.append(Calculate(self._name(), choice.frame, purpose, choice.round))
            else:
                break
            self._next_is_audit = None
        self.n_running += len(commands)
        return commands

    def _needs_run_length(self, sampler: Sampler) -> bool:
        n_audits = self.account.n_audits + len(self.runs)
        share = self._settings.audit_share * self._settings.retrain_interval
        return not sampler.knows_run_length and n_audits < share

    def store(self, command: Calculate, event: StructureComputed) -> None:
        """Takes up a calculation; one that was known costs nothing, and is no new label."""
        self.n_running -= 1
        if event.key in self._known:
            self.account.n_repeated += 1
            return
        self._known.add(event.key)
        self._pay(command)
        if event.energy is None:
            self.account.n_failed += 1
        else:
            self.account.n_labels += 1
            self.labels.append(event.key)

    def lose(self, command: Calculate) -> None:
        """Takes up a calculation whose worker died: paid for, and nothing to show."""
        self.n_running -= 1
        self._pay(command)
        self.account.n_failed += 1
        self.account.n_lost += 1

    def _pay(self, command: Calculate) -> None:
        self.account.n_paid += 1
        if command.purpose == "audit":
            self.account.n_audits += 1
        else:
            self.account.n_chosen += 1

    def _make_audit(self, run: Run) -> Calculate:
        command = Calculate(self._name(), run.end, "audit", run.command.model.round)
        self.runs[command.task] = run
        return command

    def _name(self) -> str:
        self._n_submitted += 1
        return f"calculate-{self._n_submitted}"

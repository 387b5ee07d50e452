"""What a campaign shows while it runs: lines on the console, scalars for TensorBoard."""

import collections
import pathlib
import statistics
import sys
import time

from common.runs.tensorboard import Log
from common.steering.campaign import Campaign
from common.steering.records import (
    Calculate,
    Command,
    Event,
    Finish,
    MemberTrained,
    StructureComputed,
    TaskFailed,
    TrainMember,
)
from common.steering.sampler import Audit

TERMINAL_INTERVAL = 2.0
LOG_INTERVAL = 15.0
"""[s] at least between two lines of progress, on a terminal and in a file."""

FEWEST_AUDITS = 6
"""At the shortest run length before the tolerance is doubted."""


class Monitor:
    """Is shown every event of a campaign, and every round's errors."""

    def __init__(self, folder: pathlib.Path):
        """Opens an events file for TensorBoard in the campaign's folder."""
        self._log = Log(folder)
        self._interval = TERMINAL_INTERVAL if sys.stdout.isatty() else LOG_INTERVAL
        self._last_line = 0.0
        self._n_paid = -1
        self._at_minimum: list[Audit] = []
        self._warned_round = 0
        self._validation_errors: dict[int, list[float]] = collections.defaultdict(list)
        self._failures: collections.Counter[str] = collections.Counter()

    def close(self) -> None:
        self._log.close()

    def show_start(self, campaign: Campaign, n_replayed: int) -> None:
        """How it begins, or where it goes on."""
        account, settings = campaign.calculator.account, campaign.settings
        if n_replayed:
            print(f"played {n_replayed} events again: {account.n_paid} of {settings.budget} calculations are there")
        else:
            print(
                f"{account.n_labels} labels to start from, {settings.budget - account.n_paid} calculations to come, "
                f"{len(campaign.sampler.trajectories)} trajectories"
            )

    def see(self, campaign: Campaign, event: Event, command: object, commands: list[Command]) -> None:
        """An event, the command that it answers, and what it gave."""
        if isinstance(event, MemberTrained) and isinstance(command, TrainMember):
            self._see_member(campaign, event, command)
        if isinstance(event, TaskFailed):
            print(f"{event.task}: {event.reason}")
        if isinstance(event, StructureComputed) and event.reason:
            self._failures[event.reason] += 1
            if self._failures[event.reason] == 1:
                print(f"Calculator: {event.task} failed, and was paid for: {event.reason}")
        if isinstance(event, StructureComputed) and isinstance(command, Calculate) and command.purpose == "audit":
            self._see_audit(campaign)
        for each in commands:
            if isinstance(each, TrainMember) and each.model.member == 0:
                kind = "the last training" if each.is_final else f"round {each.model.round}"
                print(f"Trainer: {kind}, {campaign.settings.n_members} networks on {each.n_labels} labels")
            if isinstance(each, Finish):
                print(f"{each.outcome}: {each.reason}")
        self._show_progress(campaign)

    def see_errors(self, round_: int, n_calls: int, errors: dict[str, dict[str, float]]) -> None:
        """The errors of a round's networks on the tests."""
        words = ", ".join(f"{name} {of['force']:.2f}" for name, of in sorted(errors.items()))
        print(f"Trainer: round {round_}, {n_calls} calculations paid for: force error [kcal/mol/Å] on tests: {words}")
        scalars = {f"force-error/{name}": of["force"] for name, of in errors.items()}
        scalars |= {f"energy-error/{name}": of["energy"] for name, of in errors.items()}
        self._log.add_scalars(n_calls, scalars)

    def _see_member(self, campaign: Campaign, event: MemberTrained, command: TrainMember) -> None:
        of_round = self._validation_errors[command.model.round]
        of_round.append(event.validation_error)
        if len(of_round) == campaign.settings.n_members:
            mean = statistics.fmean(of_round)
            print(f"Trainer: round {command.model.round} is there, validation error {mean:.2f} kcal/mol/Å")
            self._log.add_scalars(campaign.calculator.account.n_paid, {"force-error/validation": mean})

    def _see_audit(self, campaign: Campaign) -> None:
        audit, settings = campaign.last_audit, campaign.settings
        if audit is None:
            return
        recent = campaign.sampler.audits
        rate = sum(each.passed for each in recent) / max(len(recent), 1)
        self._log.add_scalars(
            campaign.calculator.account.n_paid,
            {"audit/error": audit.error, "audit/pass-rate": rate, "audit/run-length": campaign.sampler.run_length},
        )
        if audit.n_steps > settings.min_run_length:
            self._at_minimum.clear()
            return
        self._at_minimum.append(audit)
        error = statistics.median(each.error for each in self._at_minimum)
        n_audits = len(self._at_minimum)
        if n_audits >= FEWEST_AUDITS and error > settings.energy_tolerance and audit.round > self._warned_round:
            self._warned_round = audit.round
            print(
                f"Sampler: runs stay at their shortest, {settings.min_run_length} steps: the model's own error, "
                f"{error:.3f} kcal/mol per atom (median of {n_audits} audits), is above the tolerance of "
                f"{settings.energy_tolerance:.3f}; more labels may help, a larger --energy-tolerance will"
            )

    def _show_progress(self, campaign: Campaign) -> None:
        account, now = campaign.calculator.account, time.monotonic()
        if account.n_paid == self._n_paid:
            return
        self._n_paid = account.n_paid
        sampler, selector = campaign.sampler, campaign.selector
        self._log.add_scalars(
            account.n_paid,
            {
                "queue/audits": len(sampler.audit_queue),
                "queue/choices": len(selector.choices),
                "queue/pool": selector.n_pooled,
                "calculations/labels": account.n_labels,
                "calculations/failed": account.n_failed,
                "workers/calculating": campaign.calculator.n_running,
                "workers/sampling": sampler.n_running,
                "workers/training": sum(isinstance(each, TrainMember) for each in campaign.outstanding.values()),
            },
        )
        if now - self._last_line < self._interval:
            return
        self._last_line = now
        passed = sum(each.passed for each in sampler.audits)
        audits = f"{passed} of the last {len(sampler.audits)} audits passed, " if campaign.settings.audit else ""
        print(
            f"Calculator: {account.n_paid} of {campaign.settings.budget} ({account.n_audits} audits, "
            f"{account.n_chosen} chosen, {account.n_failed} failed); Sampler: {audits}run length {sampler.run_length}; "
            f"Selector: {selector.n_pooled} frames pooled, {len(selector.choices)} chosen",
            flush=True,
        )

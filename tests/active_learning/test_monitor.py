"""What a campaign shows: lines for people, scalars for TensorBoard."""

import pytest

from common.active_learning.monitor import FEWEST_AUDITS, Monitor
from common.runs.curves import read_curves
from common.steering.records import Finish, StructureComputed
from tests.steering.simulation import World, make_campaign, run_campaign


class Poor(World):
    """Models whose error does not fall with the length of the run."""

    def _compute(self, command):
        energy = self.energies[command.frame.task] + 9.0 * 0.4
        self.n_calls += 1
        return StructureComputed(command.task, f"key-{self.n_calls}", energy, 20.0, "")


def show(tmp_path, world, **changes):
    campaign = make_campaign(**changes)
    monitor = Monitor(tmp_path)
    commands = {}

    def see(campaign, event, given):
        for each in given:
            if not isinstance(each, Finish):
                commands.setdefault(each.task, each)
        monitor.see(campaign, event, commands.get(getattr(event, "task", "")), given)

    for each in make_campaign(**changes).start():
        commands[each.task] = each
    run_campaign(campaign, world, in_order=True, on_event=see)
    monitor.see_errors(1, 20, {"near": {"force": 2.5, "energy": 0.5}, "wide": {"force": 3.5, "energy": 0.7}})
    monitor.close()
    return campaign


def test_agents_say_what_they_do(tmp_path, capsys):
    show(tmp_path, World(0))
    text = capsys.readouterr().out
    assert "Trainer: round 2, 3 networks on 18 labels" in text
    assert "Trainer: round 1 is there, validation error" in text
    assert "Trainer: the last training, 3 networks on 50 labels" in text
    assert "complete: the budget of 50 calculations is spent" in text
    assert "force error [kcal/mol/Å] on tests: near 2.50, wide 3.50" in text
    assert text.count("Calculator:") == 1  # no more often than every so many seconds


def test_a_tolerance_below_the_models_own_error_is_said_with_both_numbers(tmp_path, capsys):
    show(tmp_path, Poor(0), energy_tolerance=0.1)
    text = capsys.readouterr().out
    assert "runs stay at their shortest, 20 steps: the model's own error, 0.400 kcal/mol per atom" in text
    assert "above the tolerance of 0.100" in text
    assert text.count("runs stay at their shortest") <= 6  # once a round at most


def test_a_tolerance_that_is_met_is_not_spoken_of(tmp_path, capsys):
    show(tmp_path, Poor(0), energy_tolerance=0.5)
    assert "runs stay at their shortest" not in capsys.readouterr().out
    assert FEWEST_AUDITS > 1


def test_the_first_failure_of_a_kind_is_told(tmp_path, capsys):
    class Unlucky(World):
        def _compute(self, command):
            return StructureComputed(command.task, str(self.random.random()), None, None, "no SCF")

    show(tmp_path, Unlucky(0), max_failed_fraction=0.5)
    text = capsys.readouterr().out
    assert text.count("failed, and was paid for: no SCF") == 1
    assert "failed: 10 of 10 calculations failed" in text


def test_scalars_are_there_by_the_number_of_calculations(tmp_path):
    campaign = show(tmp_path, World(0))
    curves = read_curves(tmp_path)
    wanted = {"force-error/near", "force-error/validation", "audit/error", "audit/pass-rate", "audit/run-length"}
    wanted |= {"queue/audits", "queue/choices", "queue/pool", "calculations/labels", "workers/calculating"}
    assert wanted <= set(curves)
    assert curves["calculations/labels"].values[-1] == campaign.calculator.account.n_labels
    assert curves["calculations/labels"].epochs[-1] == 50
    assert curves["force-error/near"].values[0] == pytest.approx(2.5)

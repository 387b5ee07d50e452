"""What is paid for, and in which order."""

import dataclasses

import numpy
import pytest

from common.steering.calculator import Calculator
from common.steering.records import DynamicsFinished, Frame, Model, RunDynamics, StructureComputed
from common.steering.sampler import Run, Sampler
from common.steering.selector import Choice, Selector
from tests.steering.simulation import SETTINGS


class Desk:
    """A calculator with an audit queue and choices to draw from."""

    def __init__(self, n_audits=0, n_choices=0, seed=0, **changes):
        settings = dataclasses.replace(SETTINGS, **{"n_quantum_workers": 1000, "budget": 10_000, **changes})
        random = numpy.random.default_rng(seed)
        self.calculator = Calculator(settings, 10, random)
        self.sampler, self.selector = Sampler(settings, [9], random), Selector(settings, random)
        self.sampler.knows_run_length = True
        for i in range(n_audits):
            command = RunDynamics(f"sample-{i}", 0, None, False, 20, Model(1, 0), 0)
            self.sampler.audit_queue.append(Run(command, DynamicsFinished(command.task, 20, 4, 0.0, "")))
        self.selector.choices.extend(Choice(Frame("sample-99", i), 1) for i in range(n_choices))

    def draw(self, n_allowed=1000, is_choice_coming=False):
        return self.calculator.draw(self.sampler, self.selector, n_allowed, is_choice_coming)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_audits_and_choices_are_drawn_in_their_shares(share):
    commands = Desk(2000, 2000, audit_share=share).draw(800)
    n_audits = sum(each.purpose == "audit" for each in commands)
    deviation = 4.0 * numpy.sqrt(800 * share * (1.0 - share))  # four standard deviations
    assert abs(n_audits - 800 * share) <= deviation


def test_each_queue_is_served_in_order():
    commands = Desk(20, 20).draw()
    assert [each.frame.task for each in commands if each.purpose == "audit"] == [f"sample-{i}" for i in range(20)]
    assert [each.frame.place for each in commands if each.purpose == "active"] == list(range(20))


def test_where_one_has_nothing_the_other_gives():
    assert {each.purpose for each in Desk(30, 0).draw()} == {"audit"}
    assert {each.purpose for each in Desk(0, 30).draw()} == {"active"}
    assert {each.purpose for each in Desk(0, 30, uncertainty="random").draw()} == {"random"}
    assert Desk(0, 0).draw() == []


def test_a_choice_that_will_come_is_waited_for_in_its_turn():
    desk = Desk(1000, 0)
    n_first = len(desk.draw(is_choice_coming=True))
    assert n_first < 30  # until the coin said for the first time that it is the turn of a choice
    assert desk.draw(is_choice_coming=True) == []  # and the coin is not thrown again until it says otherwise
    desk.selector.choices.append(Choice(Frame("sample-5", 0), 1))
    assert desk.draw(is_choice_coming=True)[0].purpose == "active"


def test_the_first_audits_go_first_at_most_their_share_of_the_labels_of_a_training():
    desk = Desk(20, 20, audit_share=0.25, retrain_interval=20)
    desk.sampler.knows_run_length = False
    assert [each.purpose for each in desk.draw(5)] == ["audit"] * 5
    later = [each.purpose for each in desk.draw(20)]
    assert 0 < later.count("audit") < 15
    assert "audit" not in {each.purpose for each in Desk(20, 20, audit_share=0.0).draw(5)}


def test_workers_budget_and_allowance_are_limits():
    assert len(Desk(50, 50, n_quantum_workers=3).draw()) == 3
    assert len(Desk(50, 50, budget=17).draw()) == 7
    assert len(Desk(50, 50).draw(5)) == 5
    desk = Desk(50, 50, n_quantum_workers=3)
    desk.draw()
    assert desk.draw() == []


def test_the_account():
    desk = Desk(2, 2)
    commands = desk.draw()
    calculator = desk.calculator
    calculator.store(commands[0], StructureComputed(commands[0].task, "a", -1.0, 1.0, ""))
    calculator.store(commands[1], StructureComputed(commands[1].task, "b", None, None, "no"))
    calculator.store(commands[2], StructureComputed(commands[2].task, "a", -1.0, 1.0, ""))
    calculator.lose(commands[3])
    account = calculator.account
    assert (account.n_paid, account.n_labels) == (13, 11)
    assert (account.n_failed, account.n_lost, account.n_repeated) == (2, 1, 1)
    assert account.n_audits + account.n_chosen == 3
    assert calculator.labels == ["a"]
    assert calculator.n_running == 0


def test_few_failures_say_nothing():
    desk = Desk(0, 30, max_failed_fraction=0.5)
    for i, command in enumerate(desk.draw()):
        assert not desk.calculator.fails_too_often
        desk.calculator.store(command, StructureComputed(command.task, str(i), None, None, "no"))
        if i == 8:
            break
    desk.calculator.account.n_paid += 1
    assert desk.calculator.fails_too_often

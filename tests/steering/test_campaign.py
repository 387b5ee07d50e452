"""The campaign as a whole: what must hold whatever happens, in whatever order; and that nothing is left to chance."""

import collections
import dataclasses
import json

import numpy
import pytest

from common.steering.campaign import Campaign, Phase
from common.steering.records import (
    Calculate,
    Cancel,
    DynamicsFinished,
    Finish,
    FramesPredicted,
    MemberTrained,
    PredictFrames,
    Resumed,
    RunDynamics,
    StopRequested,
    StructureComputed,
    TaskFailed,
    TrainMember,
    event_from_plain,
    event_to_plain,
)
from common.steering.settings import UNCERTAINTIES
from tests.steering.simulation import N_ATOMS, N_INITIAL, SETTINGS, World, describe, make_campaign, run_campaign


class Invariants:
    """What must hold after every event."""

    def __init__(self):
        self.names, self.frames, self.n_frames = set(), set(), {}
        self.members = collections.defaultdict(set)
        self.may_overdraw = False

    def __call__(self, campaign: Campaign, event, commands) -> None:
        settings, account = campaign.settings, campaign.calculator.account
        if isinstance(event, Resumed):
            self.may_overdraw |= event.budget < account.n_paid
        if isinstance(event, DynamicsFinished):
            self.n_frames[event.task] = event.n_frames
        if isinstance(event, MemberTrained):
            _, round_, member, _ = event.task.split("-")
            self.members[int(round_)].add(int(member))
        for command in commands:
            self.look_at(campaign, command)
        running = collections.Counter(type(each) for each in campaign.outstanding.values())
        assert campaign.calculator.n_running == running[Calculate]
        assert campaign.sampler.n_running == running[RunDynamics]
        assert self.may_overdraw or account.n_paid + running[Calculate] <= settings.budget
        assert account.n_paid == N_INITIAL + account.n_audits + account.n_chosen
        assert account.n_labels == account.n_paid - account.n_failed == N_INITIAL + len(campaign.calculator.labels)
        assert len(set(campaign.calculator.labels)) == len(campaign.calculator.labels)
        if not isinstance(event, Resumed):  # fewer workers than there is work under way
            assert running[Calculate] <= max(settings.n_quantum_workers, SETTINGS.n_quantum_workers)
        if campaign.phase is Phase.RUNNING:
            assert not campaign.trainer.needs_training(account.n_labels), "a trigger was lost"
            assert campaign.outstanding, "nobody is at work"
        if campaign.phase is Phase.FINISHED:
            assert not campaign.outstanding

    def look_at(self, campaign: Campaign, command) -> None:
        match command:
            case RunDynamics():
                assert command.model.member in self.members[command.model.round]
                assert SETTINGS.min_run_length <= command.n_steps <= SETTINGS.max_run_length
            case PredictFrames():
                assert command.round == campaign.trainer.complete_round
                assert len(self.members[command.round]) == SETTINGS.n_members
                assert all(frame.place < self.n_frames[frame.task] for frame in command.frames)
                assert len(command.frames) <= SETTINGS.chunk_size
            case Calculate():
                assert command.frame not in self.frames, "paid twice"
                self.frames.add(command.frame)
                assert 0 <= command.frame.place < self.n_frames[command.frame.task]
                if command.purpose != "audit":
                    assert command.round == campaign.trainer.complete_round, "a choice of old models"
        if not isinstance(command, Cancel | Finish):
            assert command.task not in self.names
            self.names.add(command.task)


def draw_settings(seed: int) -> dict:
    random = numpy.random.default_rng(seed)
    return {
        "seed": seed,
        "uncertainty": UNCERTAINTIES[seed % 3],
        "audit": bool(random.random() < 0.7),
        "audit_share": float(random.choice([0.0, 0.3, 0.5, 1.0])),
        "n_quantum_workers": int(random.integers(1, 5)),
        "n_samplers": int(random.integers(1, 5)),
        "n_labels_ahead": int(random.choice([0, 4, 8])),
        "n_chunks": int(random.integers(1, 3)),
        "max_pool": int(random.choice([24, 100, 1000])),
        "retrain_interval": int(random.choice([1, 5, 8])),
        "max_failures": int(random.choice([2, 30])),
    }


@pytest.mark.parametrize("seed", range(120))
def test_whatever_happens_the_rules_are_kept_and_the_campaign_ends(seed):
    failure_rate = [0.0, 0.02, 0.1, 0.3][seed % 4]
    world = World(seed, failure_rate, error=[1e-4, 1e-2][seed % 2], repeat_rate=[0.0, 0.2][seed // 2 % 2])
    campaign = make_campaign(**draw_settings(seed))
    story = run_campaign(campaign, world, in_order=seed % 5 == 0, on_event=Invariants())
    if story.finish.outcome == "complete":
        assert campaign.calculator.account.n_paid == campaign.settings.budget
    else:
        assert failure_rate > 0.0
        assert "failed" in story.finish.reason or "retired" in story.finish.reason or "cannot" in story.finish.reason


@pytest.mark.parametrize("seed", range(40))
def test_stopped_and_resumed_at_any_moment(seed):
    random = numpy.random.default_rng(seed)
    moments = sorted(random.integers(0, 250, 6).tolist())

    def interrupt(campaign, i):
        if moments and i >= moments[0]:
            moments.pop(0)
            if len(moments) % 2:
                return StopRequested()
            return Resumed(int(random.integers(30, 70)), int(random.integers(1, 5)), int(random.integers(1, 5)))
        return None

    campaign = make_campaign(**draw_settings(seed))
    story = run_campaign(campaign, World(seed, 0.02), on_event=Invariants(), interrupt=interrupt)
    if story.finish.outcome == "complete":
        assert campaign.calculator.account.n_paid >= campaign.settings.budget


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_same_events_give_the_same_commands_and_state(seed):
    """Also after a way through JSON: this is how a campaign is resumed."""
    campaign = make_campaign(**draw_settings(seed))
    story = run_campaign(campaign, World(seed, 0.05))
    again = make_campaign(**draw_settings(seed))
    commands = again.start()
    for event in story.events:
        commands += again.handle(event_from_plain(json.loads(json.dumps(event_to_plain(event)))))
    assert commands == story.commands
    assert describe(again) == describe(campaign)


def test_another_seed_makes_other_choices():
    stories = [run_campaign(make_campaign(seed=seed), World(0), in_order=True) for seed in (1, 2)]
    assert stories[0].commands != stories[1].commands


# --- the budget ------------------------------------------------------------------------------------------------------


def test_the_account_adds_up():
    campaign = make_campaign()
    story = run_campaign(campaign, World(1))
    account = campaign.calculator.account
    assert story.finish == Finish("the budget of 50 calculations is spent", "complete")
    calculations = story.list_commands(Calculate)
    assert len(calculations) == 50 - N_INITIAL
    assert account.n_audits == sum(each.purpose == "audit" for each in calculations)
    assert account.n_chosen == sum(each.purpose == "active" for each in calculations)
    assert min(account.n_audits, account.n_chosen) >= 8  # equal shares by chance, of 40


@pytest.mark.parametrize("uncertainty", ["energies", "random"])
@pytest.mark.parametrize("in_order", [True, False])
def test_audits_keep_to_their_share_and_choices_come_from_many_runs(uncertainty, in_order):
    """Audits are there after each run of dynamics, a pool only after many: it is waited for."""
    settings = dataclasses.replace(
        SETTINGS, uncertainty=uncertainty, audit_share=0.25, budget=130, retrain_interval=20, n_labels_ahead=0,
        chunk_size=25, n_chunks=2, n_frames_per_run=5, max_pool=150,
    )  # fmt: skip
    campaign = Campaign(settings, [9] * 20, N_INITIAL)
    story = run_campaign(campaign, World(2), in_order=in_order)
    account = campaign.calculator.account
    assert 0.12 <= account.n_audits / (account.n_audits + account.n_chosen) <= 0.38  # three standard deviations
    chosen = [each for each in story.list_commands(Calculate) if each.purpose != "audit"]
    models = {each.task: each.model.round for each in story.list_commands(RunDynamics)}
    for round_ in range(1, campaign.trainer.round):
        of_round = [each for each in chosen if each.round == round_]
        assert len({each.frame.task for each in of_round}) >= 0.4 * len(of_round)
        assert any(models[each.frame.task] == round_ for each in of_round)


def test_what_was_known_costs_nothing():
    campaign = make_campaign()
    world = World(1, repeat_rate=0.3)
    run_campaign(campaign, world)
    account = campaign.calculator.account
    assert account.n_repeated > 5
    assert account.n_paid == 50
    assert world.n_calls == 40 + account.n_repeated


def test_failures_are_paid_for():
    class Unlucky(World):
        def _compute(self, command):
            result = super()._compute(command)
            return (
                StructureComputed(result.task, result.key, None, None, "no") if self.random.random() < 0.3 else result
            )

    campaign = make_campaign(max_failed_fraction=1.0)
    world = Unlucky(3)
    run_campaign(campaign, world, on_event=Invariants())
    account = campaign.calculator.account
    assert account.n_failed > 5
    assert world.n_calls == 40
    assert account.n_labels == 50 - account.n_failed


def test_too_many_failures_stop_the_campaign():
    class Hopeless(World):
        def _compute(self, command):
            return StructureComputed(command.task, str(self.random.random()), None, None, "no")

    campaign = make_campaign(max_failed_fraction=0.5, budget=1000)
    story = run_campaign(campaign, Hopeless(0))
    assert story.finish.outcome == "failed"
    assert story.finish.reason == "10 of 10 calculations failed"


def test_all_trajectories_retire_where_dynamics_never_work():
    class Explosive(World):
        def _run(self, command):
            return DynamicsFinished(command.task, 0, 0, None, "not finite")

    story = run_campaign(make_campaign(max_failures=3), Explosive(0))
    assert story.finish.outcome == "failed"
    assert "every trajectory is retired, after 3 failures in a row" in story.finish.reason
    assert len(story.list_commands(RunDynamics)) == 3 * len(N_ATOMS)


# --- training --------------------------------------------------------------------------------------------------------


def test_sampling_starts_with_the_first_member_and_prediction_with_the_last():
    campaign = make_campaign()
    training = campaign.start()
    assert [each.model.member for each in training] == [0, 1, 2]
    assert not any(isinstance(each, RunDynamics) for each in training)
    runs = campaign.handle(MemberTrained(training[2].task, 1.0))
    assert [type(each) for each in runs] == [RunDynamics, RunDynamics]
    assert {each.model.member for each in runs} == {2}
    for run in runs:
        campaign.handle(DynamicsFinished(run.task, 100, 20, -1.0, ""))
    assert campaign.handle(MemberTrained(training[0].task, 1.0)) == []
    commands = campaign.handle(MemberTrained(training[1].task, 1.0))
    assert any(isinstance(each, PredictFrames) and each.round == 1 for each in commands)


def test_a_member_that_fails_is_trained_once_more_with_another_seed():
    campaign = make_campaign()
    first = campaign.start()[1]
    (second,) = campaign.handle(TaskFailed(first.task, "loss is nan"))
    assert second.model == first.model
    assert second.seed != first.seed
    commands = campaign.handle(TaskFailed(second.task, "loss is nan"))
    assert commands[-1] == Finish("a network cannot be trained: train-1-1-2: loss is nan", "failed")
    assert {each.task for each in commands[:-1]} == {"train-1-0-1", "train-1-2-1"}


def test_a_training_that_falls_due_while_another_runs_starts_when_that_ends():
    campaign = make_campaign(n_labels_ahead=20, budget=200)
    world = World(0)
    pending = {each.task: each for each in campaign.start()}
    held: dict[str, TrainMember] = {}
    while True:
        task = next(iter(pending))
        commands = campaign.handle(world.answer(pending.pop(task)))
        for command in commands:
            if isinstance(command, TrainMember) and command.model.round == 2:
                held[command.task] = command
            elif not isinstance(command, Cancel | Finish):
                pending[command.task] = command
        if not any(isinstance(each, Calculate) for each in pending.values()) and held:
            break
    n_labels = campaign.calculator.account.n_labels
    assert n_labels - 10 - 8 == 20  # as many as are allowed ahead, two and a half intervals
    commands = [command for each in held.values() for command in campaign.handle(world.answer(each))]
    third = [each for each in commands if isinstance(each, TrainMember)]
    assert [each.model.round for each in third] == [3, 3, 3]
    assert {each.n_labels for each in third} == {n_labels}


def test_nothing_is_paid_for_ahead_of_the_models_where_that_is_forbidden():
    campaign = make_campaign(n_labels_ahead=0)

    def check(campaign, event, commands):
        if campaign.phase is Phase.RUNNING and campaign.trainer.is_under_way:
            assert campaign.calculator.n_running == 0
            assert campaign.calculator.account.n_labels == campaign.trainer.n_labels_at_start

    story = run_campaign(campaign, World(4), on_event=check)
    sizes = {each.model.round: each.n_labels for each in story.list_commands(TrainMember)}
    assert list(sizes.values()) == [10, 18, 26, 34, 42, 50]


# --- stop and resume -------------------------------------------------------------------------------------------------


def play(campaign, world, n_events):
    """The first events, in order; what is pending after them."""
    pending = {each.task: each for each in campaign.start()}
    for _ in range(n_events):
        for command in campaign.handle(world.answer(pending.pop(next(iter(pending))))):
            if isinstance(command, Cancel):
                pending.pop(command.task, None)
            elif not isinstance(command, Finish):
                pending[command.task] = command
    return pending


def test_a_stop_waits_for_what_is_paid_for_and_then_trains():
    campaign, world = make_campaign(), World(0)
    pending = play(campaign, world, 30)
    running = [each for each in pending.values() if isinstance(each, Calculate)]
    assert running
    commands = campaign.handle(StopRequested())
    assert {each.task for each in commands} == {
        each.task for each in pending.values() if not isinstance(each, Calculate)
    }
    assert all(isinstance(each, Cancel) for each in commands)
    for each in running[:-1]:
        assert campaign.handle(world.answer(each)) == []
    final = campaign.handle(world.answer(running[-1]))
    assert [type(each) for each in final] == [TrainMember] * 3
    assert all(each.is_final and each.n_labels == campaign.calculator.account.n_labels for each in final)
    end = [command for each in final for command in campaign.handle(world.answer(each))]
    assert end == [Finish("stopped by the user", "stopped")]


def test_a_campaign_that_has_ended_goes_on_with_more_budget():
    campaign, world = make_campaign(), World(0)
    run_campaign(campaign, world)
    n_rounds = campaign.trainer.round
    commands = campaign.handle(Resumed(80, 2, 2))
    assert campaign.finish is None
    assert {type(each) for each in commands} >= {RunDynamics}
    pending = {each.task: each for each in commands}
    while campaign.finish is None:
        for command in campaign.handle(world.answer(pending.pop(next(iter(pending))))):
            if isinstance(command, Cancel):
                pending.pop(command.task, None)
            elif not isinstance(command, Finish):
                pending[command.task] = command
    assert campaign.calculator.account.n_paid == 80
    assert campaign.trainer.round > n_rounds


def test_a_late_answer_changes_nothing():
    campaign, world = make_campaign(), World(0)
    pending = play(campaign, world, 30)
    campaign.handle(StopRequested())
    before = describe(campaign)
    late = next(each for each in pending.values() if not isinstance(each, Calculate))
    assert campaign.handle(world.answer(late)) == []
    assert describe(campaign) == before


def test_an_answer_of_the_wrong_kind_is_a_bug():
    campaign = make_campaign()
    task = campaign.start()[0].task
    with pytest.raises(ValueError, match="FramesPredicted is no answer to TrainMember"):
        campaign.handle(FramesPredicted(task, (), ()))


# --- purity ------------------------------------------------------------------------------------------------


def test_settings_are_not_changed():
    settings = dataclasses.replace(SETTINGS)
    run_campaign(Campaign(settings, N_ATOMS, N_INITIAL), World(0))
    assert settings == SETTINGS

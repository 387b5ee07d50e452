"""A campaign before it begins: what is decided about it, what it starts from, and where everything of it lies."""

import dataclasses
import pathlib

import numpy

from common.active_learning.search_space import SearchSpace, choose_starts
from common.neural.atom_energies import NetworkSettings
from common.potentials.file import load_network
from common.steering.settings import SteeringSettings
from common.tasks.labels import Labels
from common.tasks.sampling import DynamicsSettings
from common.tasks.training import TrainingSettings


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is decided about a campaign.

    Attributes:
        steering: of its decisions.
        training: of the rounds.
        final_training: of the last.
        dynamics: of the runs.
        network: what networks are like, where they are not those of the search space.
        is_pretrained: whether training starts from the search space's model.
        n_initial: labels of the initial set; the budget counts them.
        n_starts: trajectories.
        time_limit: [s] of a calculation; None for none.
        device: of torch.
        model_cache: folder of networks that other campaigns may have trained already; None for none.
    """

    steering: SteeringSettings
    training: TrainingSettings
    final_training: TrainingSettings
    dynamics: DynamicsSettings
    network: NetworkSettings
    is_pretrained: bool
    n_initial: int
    n_starts: int
    time_limit: float | None
    device: str
    model_cache: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True)
class Beginning:
    """What a campaign starts from, drawn by its seed.

    Attributes:
        starts: indices of the search space's starts, one for each trajectory.
        initial: the initial set.
    """

    starts: list[int]
    initial: Labels


def draw_beginning(space: SearchSpace, plan: Plan) -> Beginning:
    """Starts and initial set of a campaign: the same for the same seed, whatever else is decided.

    Raises:
        ValueError: the search space has fewer labelled candidates than the initial set is to have.
    """
    if plan.n_initial > len(space.initial):
        raise ValueError(
            f"{space.folder}: has {len(space.initial)} labelled structures for an initial set of {plan.n_initial}; ask "
            "for fewer, or prepare more"
        )
    random = numpy.random.default_rng([plan.steering.seed, 1])
    initial = numpy.sort(random.permutation(len(space.initial))[: plan.n_initial])
    return Beginning(choose_starts(space, plan.n_starts, random), space.initial.select(initial))


def check_plan(plan: Plan, space: SearchSpace) -> None:
    """What cannot work is said before anything is paid for.

    Raises:
        ValueError: two values do not fit together, or the search space does not fit the plan.
    """
    steering = plan.steering
    if steering.min_run_length > steering.max_run_length:
        raise ValueError(
            f"the shortest run of dynamics has {steering.min_run_length} steps, the longest {steering.max_run_length}"
        )
    if steering.n_members < 2 and steering.uncertainty != "random":
        raise ValueError("an ensemble of one never disagrees: ask for more members, or choose at random")
    if plan.n_initial < 2:
        raise ValueError(
            f"an initial set of {plan.n_initial} cannot be trained and validated on; at least 2 are needed"
        )
    if steering.budget <= plan.n_initial:
        raise ValueError(
            f"a budget of {steering.budget} calculations is spent by the initial set of {plan.n_initial}, which counts"
        )
    draw_beginning(space, plan)
    if plan.is_pretrained:
        if space.starting_model is None:
            raise ValueError(f"{space.folder}: has no pretrained model; start from random weights, or prepare it anew")
        known = set(load_network(space.starting_model).reference_energies)
        wanted = {int(number) for molecule in space.molecules for number in molecule.numbers}
        if wanted - known:
            raise ValueError(
                f"{space.starting_model}: knows the elements {sorted(known)}, and the molecules have "
                f"{sorted(wanted - known)}, too"
            )


class CampaignFolder:
    """Where everything of a campaign lies."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.journal = path / "journal.jsonl"
        self.lock = path / "lock"
        self.calculations = path / "calculations"
        self.train_db = path / "train.db"
        self.final_model = path / "final-model"
        self.data = path / "data-raw"
        self.parsl = path / "parsl"

    def get_run(self, task: str) -> pathlib.Path:
        """The file of a run of dynamics, by its task."""
        return self.path / "trajectories" / f"{task}.npz"

    def get_round(self, round_: int) -> pathlib.Path:
        """The folder of a round of training."""
        return self.path / "models" / f"round-{round_:03d}"

    def get_model(self, round_: int, member: int) -> pathlib.Path:
        """The file of a network."""
        return self.get_round(round_) / f"member-{member}.pt"

    def get_labels(self, round_: int) -> pathlib.Path:
        """The labels that a round was trained on."""
        return self.get_round(round_) / "labels.npz"

"""The Trainer: when the ensemble is trained anew, and which models there are."""

import numpy

from common.steering.records import Model, TrainMember
from common.steering.settings import SteeringSettings

N_ATTEMPTS = 2
"""A member that fails is trained once more, with another seed; then the campaign stops."""


class Trainer:
    """Submits rounds of training, each of all members from the starting weights, and stores what comes of them."""

    def __init__(self, settings: SteeringSettings, n_initial: int):
        self._settings = settings
        self.round = 0
        """The last that was submitted; 0 before the first."""
        self.n_labels_at_start = n_initial
        """Labels that there were when it was submitted."""
        self.is_under_way = False
        self.sampling_model: Model | None = None
        """By which dynamics run: the first of the latest round that was done."""
        self.complete_round: int | None = None
        """The latest of which all members are there: by these frames are predicted."""
        self.failure = ""
        """Why no member could be trained; "" as long as all can."""
        self._done: set[int] = set()
        self._is_final = False
        self._n_labels_before = n_initial  # at the start of the round before

    def needs_training(self, n_labels: int) -> bool:
        """Whether a round is due; one that came due while another was under way is not forgotten."""
        n_new = n_labels - self.n_labels_at_start
        return not self.is_under_way and (self.complete_round is None or n_new >= self._settings.retrain_interval)

    def submit(self, n_labels: int, is_final: bool = False) -> list[TrainMember]:
        """A new round, on all labels so far; what was under way of another is forgotten."""
        self.round += 1
        self._n_labels_before = self.n_labels_at_start
        self.n_labels_at_start = n_labels
        self.is_under_way = True
        self._is_final = is_final
        self._done = set()
        return [self._make(member, attempt=1) for member in range(self._settings.n_members)]

    def store(self, model: Model) -> bool:
        """Takes up a trained member; True where with it the round is complete."""
        if model.round != self.round:
            return False
        if not self._done:
            self.sampling_model = model
        self._done.add(model.member)
        if len(self._done) < self._settings.n_members:
            return False
        self.is_under_way = False
        self.complete_round = self.round
        return True

    def retry(self, command: TrainMember, reason: str) -> list[TrainMember]:
        """A member failed: once more with another seed; after that ``failure`` says so."""
        attempt = int(command.task.rpartition("-")[2])
        if attempt < N_ATTEMPTS:
            return [self._make(command.model.member, attempt + 1)]
        self.failure = f"{command.task}: {reason}"
        self.cancel()
        return []

    def cancel(self) -> None:
        """Nobody waits for the round under way any more: its labels count as not yet trained on."""
        if self.is_under_way:
            self.is_under_way = False
            self.n_labels_at_start = self._n_labels_before

    def forget_failure(self) -> None:
        """The user takes the campaign up again."""
        self.failure = ""

    def _make(self, member: int, attempt: int) -> TrainMember:
        sequence = numpy.random.SeedSequence([self._settings.seed, self.round, member, attempt])
        return TrainMember(
            task=f"train-{self.round}-{member}-{attempt}",
            model=Model(self.round, member),
            n_labels=self.n_labels_at_start,
            seed=int(sequence.generate_state(1)[0]),
            is_final=self._is_final,
        )

"""The Selector: which of the frames that the dynamics gave are worth a calculation."""

import collections
import collections.abc
import math
import typing

import numpy

from common.selection.disagreement import FEWEST_LEFT, select_by_disagreement
from common.steering.records import Frame, FramesPredicted, PredictFrames
from common.steering.settings import SteeringSettings

N_ROUNDS_KEPT = 2
"""Of the models that gave them, the new ones included; older frames are forgotten: the present models go elsewhere."""


class Candidate(typing.NamedTuple):
    """A frame in the pool, and the round of the model that gave it."""

    frame: Frame
    round: int


class Prediction(typing.NamedTuple):
    """What the members of one round say of a frame; nothing where the choice is by chance."""

    candidate: Candidate
    energies: tuple[float, ...]
    disagreement: float


class Choice(typing.NamedTuple):
    """A frame that was chosen, and the round of the models by whose word."""

    frame: Frame
    round: int


class Selector:
    """Has the pool predicted in chunks by all members of one round, and chooses."""

    def __init__(self, settings: SteeringSettings, random: numpy.random.Generator):
        self._settings = settings
        self._random = random
        self.round: int | None = None
        """Of the models by whose word frames are chosen."""
        self.choices: collections.deque[Choice] = collections.deque()
        self._unpredicted: collections.deque[Candidate] = collections.deque()
        self._predicted: list[Prediction] = []
        self._settled: list[Candidate] = []  # dropped, as going together with a chosen one; until the next round
        self._in_flight: dict[str, list[Candidate]] = {}
        self._is_refreshed = False
        self._n_submitted = 0

    def replace_settings(self, settings: SteeringSettings) -> None:
        """The campaign goes on with other workers."""
        self._settings = settings

    @property
    def is_by_chance(self) -> bool:
        return self._settings.uncertainty == "random"

    @property
    def n_pooled(self) -> int:
        """Frames that may still be chosen by the present models."""
        return len(self._unpredicted) + len(self._predicted) + sum(len(each) for each in self._in_flight.values())

    @property
    def is_choosing(self) -> bool:
        """Whether a choice is under way, which will come without any further run of dynamics."""
        return bool(self._in_flight)

    def add(self, frames: collections.abc.Iterable[Frame], round_: int) -> None:
        """Takes up the frames of a run by a model of this round."""
        self._unpredicted.extend(Candidate(frame, round_) for frame in frames)

    def start_round(self, round_: int) -> None:
        """New models: what the old ones predicted, or chose and nobody has begun to compute, is to be judged anew."""
        chosen = [Candidate(choice.frame, choice.round) for choice in self.choices]
        in_flight = [each for chunk in self._in_flight.values() for each in chunk]
        predicted = [each.candidate for each in self._predicted]
        again = [*self._settled, *chosen, *predicted, *in_flight, *self._unpredicted]
        kept = [each for each in again if each.round > round_ - N_ROUNDS_KEPT]
        n_kept = self._settings.max_pool // 2  # there must be room for frames of the new models
        self._unpredicted = collections.deque(kept[len(kept) - min(n_kept, len(kept)) :])
        self._predicted, self._settled, self._in_flight = [], [], {}
        self.choices.clear()
        self.round = round_
        self._is_refreshed = True

    def submit(self, is_starving: bool) -> list[PredictFrames]:
        """Chunks of the pool to be predicted.

        Args:
            is_starving: no frames will come without a calculation: the rest of the pool has to do.
        """
        if self.round is None or self.is_by_chance:
            return []
        flush = self._is_refreshed or (is_starving and not self.choices)
        self._is_refreshed = False
        commands = []
        while self._unpredicted and (flush or len(self._unpredicted) >= self._settings.chunk_size):
            size = min(self._settings.chunk_size, len(self._unpredicted))
            chunk = [self._unpredicted.popleft() for _ in range(size)]
            self._n_submitted += 1
            task = f"predict-{self._n_submitted}"
            self._in_flight[task] = chunk
            commands.append(PredictFrames(task, tuple(each.frame for each in chunk), self.round))
        return commands

    def store(self, event: FramesPredicted) -> None:
        """Takes up a chunk; frames of which a member says nothing finite are forgotten. Chunks of old models too."""
        chunk = self._in_flight.pop(event.task, None)
        if chunk is None:
            return
        for candidate, energies, disagreement in zip(chunk, event.energies, event.disagreement, strict=True):
            if numpy.isfinite(energies).all() and numpy.isfinite(disagreement):
                self._predicted.append(Prediction(candidate, energies, disagreement))

    def put_back(self, task: str) -> None:
        """Takes up a chunk that nobody predicted."""
        self._unpredicted.extendleft(reversed(self._in_flight.pop(task, [])))

    def choose(self, n_wanted: int, is_starving: bool) -> None:
        """Chooses at most ``n_wanted`` frames where nothing is chosen and dynamics of the present models gave enough.

        Frames of older models may be chosen, but are not waited for. Where no more will come, fewer are chosen from a
        smaller pool, in proportion: one that is used up to the last frame leaves no choice.
        """
        if self.round is None or self.choices or self._in_flight or n_wanted < 1:
            return
        ready = list(self._unpredicted) if self.is_by_chance else [each.candidate for each in self._predicted]
        n_new = sum(each.round >= self.round for each in ready)
        n_enough = self._settings.chunk_size * self._settings.n_chunks
        if len(ready) >= FEWEST_LEFT and (n_new >= n_enough or is_starving):
            n_wanted = min(n_wanted, math.ceil(n_wanted * len(ready) / n_enough))
            chosen = self._choose_by_chance(n_wanted) if self.is_by_chance else self._choose_by_disagreement(n_wanted)
            self.choices.extend(Choice(each.frame, self.round) for each in chosen)

    def _choose_by_chance(self, n_wanted: int) -> list[Candidate]:
        pool = list(self._unpredicted)
        order = self._random.permutation(len(pool))[:n_wanted].tolist()
        taken = set(order)
        self._unpredicted = collections.deque(each for i, each in enumerate(pool) if i not in taken)
        return [pool[i] for i in order]

    def _choose_by_disagreement(self, n_wanted: int) -> list[Candidate]:
        pool = self._predicted
        disagreement = numpy.array([each.disagreement for each in pool])
        energies = numpy.array([each.energies for each in pool])
        chosen, left = select_by_disagreement(disagreement, energies, n_wanted)
        gone = set(range(len(pool))) - set(left) - set(chosen)
        self._settled.extend(pool[i].candidate for i in sorted(gone))
        self._predicted = [pool[i] for i in left]
        return [pool[i].candidate for i in chosen]

"""Learned potentials of pairs of bodies: a model, brought to zero where bodies are far apart, and a wall.

    U = f(pair) g(r) + exp(-(r - r_w) / w),   g(r) = 1 / (1 + (r / r₀)⁶)

Forces, and trajectories, say nothing of a constant: that U vanishes far away is part of the form, and its tail falls
like dispersion. The wall, inside the nearest approach of the data, keeps bodies from where nothing was learned.
"""

import collections.abc
import dataclasses
import math
import pathlib
import typing

import torch

from common.body_trajectories.systems import BodySystem, read_system
from common.body_trajectories.trajectories import Trajectories
from common.files.artifacts import ArtifactError, MissingArtifactError
from common.files.atomic import replace_atomically
from common.files.tensor_file import read_tensors, write_tensors
from common.geometry.bodies import Body
from common.geometry.quaternions import compute_rotation_matrices
from common.pair_networks.anchors import choose_anchors
from common.pair_networks.frames import BodyFrameInputs, RawInputs, SymmetricInputs
from common.pair_networks.models import FrameModel, PairModel, PointModel, build_maps
from common.pair_networks.perceptron import Perceptron
from common.potentials.body_pairs import BodyPotential, Orientations, PairGradient, apply_minimum_image

FORMAT = 1
"""Version of the file that this code writes and reads."""

INPUTS = ("points", "averaged", "symmetric", "body-frame", "raw")

TAIL = 1.25
"""r₀ of g over the median distance of the data."""

TAIL_POWER = 6

REACH = 1.5
"""The centre of the last Gaussian over the median distance of the data."""

WALL_GAP = 0.04
"""The wall is 1 kT at this part of the nearest approach inside it, and the same part wide."""

N_TYPICAL = 4096
"""Pairs that scales are taken from."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a learned potential is made of, in plain values.

    Attributes:
        inputs: a name of ``INPUTS``.
        depth, width, activation: of the network.
        n_points: anchor points of a body at least, where it has as many sites; of ``points``.
        n_radial: Gaussians; of ``points``.
    """

    inputs: str = "points"
    depth: int = 2
    width: int = 32
    activation: str = "silu"
    n_points: int = 6
    n_radial: int = 8


@dataclasses.dataclass(frozen=True)
class Scales:
    """Lengths that the data set; of one pair of kinds.

    Attributes:
        nearest: [length] the smallest distance of centres.
        median: [length] of the distances of centres.
        nearest_points: [length] the smallest distance of anchor points; of ``points``.
        wall: [energy] of the wall at the nearest approach.
    """

    nearest: float
    median: float
    nearest_points: float
    wall: float


class LearnedPair(torch.nn.Module):
    """The learned potential of a pair of bodies; a ``PairTerm``."""

    def __init__(self, model: PairModel, scales: Scales):
        super().__init__()
        self.model, self.scales = model, scales
        self.tail = TAIL * scales.median
        self.wall_width = WALL_GAP * scales.nearest
        self.wall_place = scales.nearest + self.wall_width * math.log(scales.wall)

    def compute_energies(self, d: torch.Tensor, first: Orientations, second: Orientations) -> torch.Tensor:
        """See ``PairTerm``."""
        squares = (d * d).sum(-1)
        factor, _ = self._compute_factor(squares)
        return self.model.compute_values(d, first, second) * factor + self._compute_wall(squares.sqrt())

    def compute_gradient(self, d: torch.Tensor, first: Orientations, second: Orientations) -> PairGradient:
        """See ``PairTerm``."""
        felt = self.model.compute_gradient(d, first, second)
        squares = (d * d).sum(-1)
        r = squares.sqrt()
        factor, slope = self._compute_factor(squares)
        wall = self._compute_wall(r)
        radial = felt.energies * slope - wall / (self.wall_width * r)
        column = factor[:, None]
        return PairGradient(
            felt.energies * factor + wall,
            felt.forces * column - radial[:, None] * d,
            felt.first_torques * column,
            felt.second_torques * column,
        )

    def _compute_factor(self, squares: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """g, and g' / r."""
        power = (squares / self.tail**2) ** (TAIL_POWER // 2)
        factor = 1.0 / (1.0 + power)
        return factor, -TAIL_POWER * factor * factor * power / squares

    def _compute_wall(self, r: torch.Tensor) -> torch.Tensor:
        # where bodies sit on each other it is high enough, and finite
        return torch.exp(((self.wall_place - r) / self.wall_width).clamp(max=30.0))


class LearnedPotential(torch.nn.Module):
    """Learned pairs for all pairs of kinds of bodies of a system.

    Attributes:
        system: the bodies; its known terms are not in here.
        shape: of all pairs.
    """

    def __init__(
        self,
        system: BodySystem,
        shape: Shape,
        scales: collections.abc.Mapping[tuple[str, str], Scales],
        generator: torch.Generator,
        dtype: torch.dtype,
    ):
        """Raises:
        ValueError: the inputs do not suit the bodies.
        """
        super().__init__()
        self.system, self.shape, self.scales, self.dtype = system, shape, dict(scales), dtype
        self.pairs = torch.nn.ModuleList()
        kinds = {body.name: body for body in system.kinds}
        for names in system.group_pairs():
            model = build_model(kinds[names[0]], kinds[names[1]], shape, scales[names], generator, dtype)
            self.pairs.append(LearnedPair(model, scales[names]))

    def list_pairs(self) -> list[LearnedPair]:
        """The learned pairs, in the order of ``system.group_pairs``."""
        return [pair for pair in self.pairs if isinstance(pair, LearnedPair)]

    def cast(self, dtype: torch.dtype) -> "LearnedPotential":
        """The same potential in numbers of another type."""
        other = LearnedPotential(self.system, self.shape, self.scales, torch.Generator().manual_seed(0), dtype)
        other.load_state_dict(self.state_dict())
        return other

    def move(self, system: BodySystem) -> "LearnedPotential":
        """The same potential between the bodies of another system, of the same kinds."""
        other = LearnedPotential(system, self.shape, self.scales, torch.Generator().manual_seed(0), self.dtype)
        other.load_state_dict(self.state_dict())
        return other

    def build_potential(self) -> BodyPotential:
        """What acts between the bodies, without known terms."""
        return self.system.build_potential(dict(zip(self.system.group_pairs(), self.list_pairs(), strict=True)))

    def build_total(self) -> BodyPotential:
        """With the known terms."""
        return self.system.add_spring(self.build_potential())


def build_model(
    first: Body, second: Body, shape: Shape, scales: Scales, generator: torch.Generator, dtype: torch.dtype
) -> PairModel:
    """An untrained model of a pair.

    Raises:
        ValueError: there are no such inputs, or they do not suit the bodies.
    """

    def build_network(n_inputs: int) -> Perceptron:
        return Perceptron(n_inputs, shape.depth, shape.width, shape.activation, generator, dtype)

    if shape.inputs == "raw":
        return FrameModel(RawInputs(), build_network(11))
    if shape.inputs in ("body-frame", "averaged"):
        maps = build_maps(first, second, with_rotations=shape.inputs == "averaged")
        return FrameModel(BodyFrameInputs(), build_network(16), maps)
    if shape.inputs == "symmetric":
        n = first.fold
        if first.name != second.name or n < 2 or len(first.own_rotations) != 2 * n:
            raise ValueError(
                f"{first.name} and {second.name}: the inputs 'symmetric' need like bodies with an n-fold axis and "
                "two-fold axes across it; use 'points'"
            )
        return FrameModel(SymmetricInputs(n, scales.median), build_network(13))
    if shape.inputs == "points":
        anchors = choose_anchors(first, shape.n_points)
        others = anchors if first.name == second.name else choose_anchors(second, shape.n_points)
        span = (scales.nearest_points, REACH * scales.median)
        return PointModel(
            anchors, others, shape.n_radial, span, shape.depth, shape.width, shape.activation, generator, dtype
        )
    raise ValueError(f"no inputs {shape.inputs!r}; there are {', '.join(INPUTS)}")


def build_learned_potential(
    trajectories: Trajectories, shape: Shape, seed: int, dtype: torch.dtype
) -> LearnedPotential:
    """An untrained potential with the lengths and scales of trajectories to train on.

    Raises:
        ValueError: the inputs do not suit the bodies.
    """
    system = trajectories.system
    typical = {
        names: _draw_pairs(trajectories, first, second, seed) for names, (first, second) in system.group_pairs().items()
    }
    kinds = {body.name: body for body in system.kinds}
    kt = trajectories.kt or 1.0
    scales = {names: _measure(kinds[names[0]], kinds[names[1]], shape, *pairs, kt) for names, pairs in typical.items()}
    learned = LearnedPotential(system, shape, scales, torch.Generator().manual_seed(seed), dtype)
    with torch.no_grad():
        for pair, (d, first, second) in zip(learned.list_pairs(), typical.values(), strict=True):
            one, other = (Orientations(*(values.to(dtype) for values in own)) for own in (first, second))
            pair.model.standardize(d.to(dtype), one, other)
    return learned


def _draw_pairs(
    trajectories: Trajectories, first: torch.Tensor, second: torch.Tensor, seed: int
) -> tuple[torch.Tensor, Orientations, Orientations]:
    """Some of the pairs of bodies that occur, the nearest one among them."""
    positions, quaternions = (values.flatten(0, 1) for values in trajectories.motion[:2])
    d = apply_minimum_image(positions[:, second] - positions[:, first], trajectories.system.box).flatten(0, 1)
    chosen = torch.randint(len(d), (N_TYPICAL,), generator=torch.Generator().manual_seed(seed))
    chosen[0] = (d * d).sum(-1).argmin()
    one, other = (quaternions[:, idxs].flatten(0, 1)[chosen] for idxs in (first, second))
    return (
        d[chosen],
        Orientations(one, compute_rotation_matrices(one)),
        Orientations(other, compute_rotation_matrices(other)),
    )


def _measure(
    one: Body, other: Body, shape: Shape, d: torch.Tensor, first: Orientations, second: Orientations, kt: float
) -> Scales:
    r = d.norm(dim=-1)
    nearest_points = 0.0
    if shape.inputs == "points":
        points = [torch.from_numpy(choose_anchors(body, shape.n_points).points) for body in (one, other)]
        places = [points[0] @ first.rotations.mT, d[:, None] + points[1] @ second.rotations.mT]
        nearest_points = float(torch.cdist(places[0], places[1]).min())
    return Scales(float(r.min()), float(r.median()), nearest_points, kt)


def save_learned_potential(path: pathlib.Path, learned: LearnedPotential, record: dict[str, typing.Any]) -> None:
    """Writes a file of plain values and tensors.

    Args:
        path: where to.
        learned: the potential.
        record: further plain values, such as how it was trained.
    """
    plain = {
        "format": FORMAT,
        "system": learned.system.to_plain(),
        "shape": dataclasses.asdict(learned.shape),
        "scales": [[*names, dataclasses.asdict(own)] for names, own in learned.scales.items()],
        "dtype": str(learned.dtype).removeprefix("torch."),
        "weights": {name: value.detach().cpu() for name, value in learned.state_dict().items()},
        "record": record,
    }
    with replace_atomically(path) as beside:
        write_tensors(plain, beside)


def load_learned_potential(path: pathlib.Path) -> tuple[LearnedPotential, dict[str, typing.Any]]:
    """What :func:`save_learned_potential` wrote: the potential and the record.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it is damaged, or of another format.
    """
    if not path.is_file():
        raise MissingArtifactError(f"{path}: no such file", "learned potential", detail=", or name another run")
    try:
        plain = read_tensors(path)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: damaged, or no learned potential ({error})", "learned potential") from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT or "shape" not in plain:
        raise ArtifactError(f"{path}: no learned potential of format {FORMAT}", "learned potential")
    scales = {(one, other): Scales(**own) for one, other, own in plain["scales"]}
    dtype = getattr(torch, plain["dtype"])
    generator = torch.Generator().manual_seed(0)
    learned = LearnedPotential(read_system(plain["system"]), Shape(**plain["shape"]), scales, generator, dtype)
    learned.load_state_dict(plain["weights"])
    return learned, plain["record"]

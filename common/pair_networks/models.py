"""Learned functions of a pair of bodies, with force and torques in closed form.

A model gives f and its gradient; :mod:`common.pair_networks.potential` makes a potential of it. Two kinds:

``FrameModel``  a network of the numbers z of :mod:`common.pair_networks.frames`, averaged over linear maps of z: the
                exchange of like bodies, and, for ``averaged``, all of the bodies' own rotations. Exactly invariant and
                complete, and as many times as expensive as there are maps.
``PointModel``  ``points``: what the anchor points of one body see of those of the other. Point i has the densities
                ρ_ik = Σ_j φ_k(r_ij), φ_k Gaussians of ln r, sums over each group of the other's points; a first layer
                acts on each point, the mean over all points of both bodies goes through the rest. Invariant by
                construction, complete but for bodies whose points have a symmetry that the body has not, and the cost
                is that of a few dozen distances, whatever the number of sites.
"""

import abc
import itertools
import math

import numpy
import torch

from common.geometry.bodies import Body
from common.pair_networks.anchors import Anchors
from common.pair_networks.compiled import CODES, PointNetwork, differentiate_points
from common.pair_networks.frames import PairInputs
from common.pair_networks.perceptron import ACTIVATIONS, Perceptron, draw_weights
from common.potentials.body_pairs import Orientations, PairGradient
from common.potentials.site_sums import compute_separations, place_sites, reduce_slopes

OVERLAP = 0.75
"""Width of the Gaussians over the distance of their centres."""


class PairModel(torch.nn.Module, abc.ABC):
    """A function f of pairs of bodies."""

    @abc.abstractmethod
    def compute_values(self, d: torch.Tensor, first: Orientations, second: Orientations) -> torch.Tensor:
        """The values f, ``(n_pairs,)``."""

    @abc.abstractmethod
    def compute_gradient(self, d: torch.Tensor, first: Orientations, second: Orientations) -> PairGradient:
        """The values f in place of energies, with the force and torques of a potential that is f."""

    @abc.abstractmethod
    def standardize(self, d: torch.Tensor, first: Orientations, second: Orientations) -> None:
        """Scales the inputs of the network by those of typical pairs."""


class FrameModel(PairModel):
    """A network of numbers of a pair, averaged over linear maps of these."""

    mean: torch.Tensor
    inverse_width: torch.Tensor
    maps: torch.Tensor

    def __init__(self, inputs: PairInputs, network: Perceptron, maps: torch.Tensor | None = None):
        super().__init__()
        self.inputs, self.network = inputs, network
        self.is_mapped = maps is not None
        dtype = network.last.dtype
        self.register_buffer("mean", torch.zeros(inputs.n_inputs, dtype=dtype))
        self.register_buffer("inverse_width", torch.ones(inputs.n_inputs, dtype=dtype))
        self.register_buffer("maps", torch.empty(0) if maps is None else maps.to(dtype), persistent=False)

    def compute_values(self, d: torch.Tensor, first: Orientations, second: Orientations) -> torch.Tensor:
        """See :class:`PairModel`."""
        values = self.network.evaluate(self._scale(self.inputs.compute(d, first, second)))
        return values.mean(-1) if self.is_mapped else values

    def compute_gradient(self, d: torch.Tensor, first: Orientations, second: Orientations) -> PairGradient:
        """See :class:`PairModel`."""
        values, gradient = self.network.differentiate(self._scale(self.inputs.compute(d, first, second)))
        gradient = gradient * self.inverse_width
        if self.is_mapped:
            values, gradient = values.mean(-1), torch.einsum("pmi,mij->pj", gradient, self.maps) / len(self.maps)
        return self.inputs.pull_back(values, gradient, d, first, second)

    def standardize(self, d: torch.Tensor, first: Orientations, second: Orientations) -> None:
        """See :class:`PairModel`; with the statistics of all images, so that they do not break the invariance."""
        z = self._map(self.inputs.compute(d, first, second)).reshape(-1, self.inputs.n_inputs)
        self.mean.copy_(z.mean(0))
        self.inverse_width.copy_(1.0 / z.std(0).clamp(min=1e-6))

    def _map(self, z: torch.Tensor) -> torch.Tensor:
        return torch.einsum("mij,pj->pmi", self.maps, z) if self.is_mapped else z

    def _scale(self, z: torch.Tensor) -> torch.Tensor:
        return (self._map(z) - self.mean) * self.inverse_width


def build_maps(first: Body, second: Body, with_rotations: bool) -> torch.Tensor:
    """Linear maps of the 16 numbers of ``body-frame`` that leave U as it is, ``shape=(n_maps, 16, 16)``.

    Args:
        first, second: the bodies; where they are one kind, the exchange is among the maps.
        with_rotations: whether the bodies' own rotations are, too.

    Raises:
        ValueError: a body is a rod, whose rotations are not a finite number.
    """
    for body in (first, second):
        if with_rotations and body.is_linear:
            raise ValueError(
                f"{body.name}: a rod has infinitely many rotations to average over; use the inputs 'points'"
            )
    none = [numpy.eye(3)]
    own = [[one.rotation for one in body.own_rotations] if with_rotations else none for body in (first, second)]
    maps = []
    for one, other in itertools.product(*own):
        turn = numpy.zeros((16, 16))
        turn[0, 0] = 1.0
        turn[1:4, 1:4], turn[4:7, 4:7] = one.T, other.T  # u -> gᵀ u, C -> gᵀ C g'
        turn[7:, 7:] = numpy.kron(one.T, other.T)
        maps.append(turn)
    if first.name == second.name:
        exchange = numpy.zeros((16, 16))
        exchange[0, 0] = 1.0
        exchange[1:4, 4:7] = exchange[4:7, 1:4] = numpy.eye(3)
        for i, j in itertools.product(range(3), repeat=2):
            exchange[7 + 3 * i + j, 7 + 3 * j + i] = 1.0
        maps += [exchange @ turn for turn in maps]
    return torch.from_numpy(numpy.array(maps))


class PointModel(PairModel):
    """What anchor points see of each other.

    Args:
        first, second: the points of the bodies; the same object for bodies of one kind, whose weights are shared.
        n_radial: number of Gaussians.
        span: [length] the centres of the first and the last Gaussian.
        depth, width, activation: of the network; the first layer acts on each point.
        generator: of the first weights.
        dtype: of all numbers.
    """

    centres: torch.Tensor
    scales: torch.Tensor

    def __init__(
        self,
        first: Anchors,
        second: Anchors,
        n_radial: int,
        span: tuple[float, float],
        depth: int,
        width: int,
        activation: str,
        generator: torch.Generator,
        dtype: torch.dtype,
    ):
        super().__init__()
        self.anchors = (first, second)
        self.points = [torch.from_numpy(one.points).to(dtype) for one in self.anchors]
        self.is_alike = first is second
        logarithms = [math.log(distance) for distance in span]
        self.spacing = (logarithms[1] - logarithms[0]) / (n_radial - 1)
        self.sharpness = 1.0 / (OVERLAP * self.spacing) ** 2
        centres = torch.linspace(logarithms[0], logarithms[1], n_radial, dtype=dtype)
        self.register_buffer("centres", centres, persistent=False)
        self.activation, self.activate = activation, ACTIVATIONS[activation]
        self._exported: tuple[tuple[tuple[int, int], ...], PointNetwork] | None = None
        self.weights, self.biases = torch.nn.ParameterList(), torch.nn.ParameterList()
        for own, other in ((first, second),) if self.is_alike else ((first, second), (second, first)):
            for _ in own.sizes:
                self.weights.append(draw_weights(width, n_radial * len(other.sizes), generator, dtype))
                spread = 0.3 * torch.randn(width, generator=generator, dtype=torch.float64)
                self.biases.append(torch.nn.Parameter(spread.to(dtype)))
        self.register_buffer("scales", torch.ones(n_radial, dtype=dtype))
        self.network = Perceptron(width, max(0, depth - 1), width, activation, generator, dtype)

    def compute_values(self, d: torch.Tensor, first: Orientations, second: Orientations) -> torch.Tensor:
        """See :class:`PairModel`."""
        separations = self._separate(d, first, second)
        radial, _ = self._compute_radial((separations * separations).sum(0))
        pooled, _ = self._pool(self._compute_densities(radial))
        return self.network.evaluate(pooled)

    def compute_gradient(self, d: torch.Tensor, first: Orientations, second: Orientations) -> PairGradient:
        """See :class:`PairModel`; compiled where no gradient by weights is to follow."""
        if not torch.is_grad_enabled() and d.device.type == "cpu":
            return self._compute_compiled(d, first, second)
        separations = self._separate(d, first, second)
        squares = (separations * separations).sum(0)
        radial, centred = self._compute_radial(squares)
        pooled, slopes = self._pool(self._compute_densities(radial))
        values, on_pooled = self.network.differentiate(pooled)
        weights = self._spread(on_pooled, slopes)  # ∂f/∂φ_k(r_ij), (n_radial, n_a, n_b, n_pairs)
        # φ_k' / r = -(ln r - m_k) φ_k / (w² r²)
        pair_slopes = -self.sharpness * (weights * (centred * radial)).sum(0).permute(2, 0, 1).contiguous() / squares
        return reduce_slopes(
            values, pair_slopes, separations, (first.rotations, second.rotations), (self.points[0], self.points[1])
        )

    def standardize(self, d: torch.Tensor, first: Orientations, second: Orientations) -> None:
        """See :class:`PairModel`; without a shift, so that points that see nothing have densities of zero."""
        separations = self._separate(d, first, second)
        densities = self._compute_densities(self._compute_radial((separations * separations).sum(0))[0])
        n_radial = len(self.centres)
        everything = torch.cat([one.unflatten(0, (-1, n_radial)).transpose(0, 1).flatten(1) for one in densities], 1)
        self.scales.copy_(1.0 / everything.std(1).clamp(min=1e-3))

    def _compute_compiled(self, d: torch.Tensor, first: Orientations, second: Orientations) -> PairGradient:
        arrays = (values.to(torch.float64).contiguous().numpy() for values in (d, first.rotations, second.rotations))
        return PairGradient(
            *(torch.from_numpy(own).to(d.dtype) for own in differentiate_points(self._export(), *arrays))
        )

    def _export(self) -> PointNetwork:
        """All numbers as the compiled code takes them; made anew where a weight has changed."""
        versions = tuple((values.data_ptr(), values._version) for values in (*self.parameters(), self.scales))
        if self._exported is None or self._exported[0] != versions:
            self._exported = versions, self._build_network()
        return self._exported[1]

    def _build_network(self) -> PointNetwork:
        sizes = [numpy.array(one.sizes) for one in self.anchors]
        scaled, biases = ([_to_array(values) for values in own] for own in self._list_layers())
        n_inputs = max(weight.shape[1] for weight in scaled)
        first = numpy.stack([numpy.pad(weight, ((0, 0), (0, n_inputs - weight.shape[1]))) for weight in scaled])
        network, width = self.network, len(scaled[0])
        deep = numpy.array([_to_array(weight) for weight in network.weights]).reshape(-1, width, width)
        return PointNetwork(
            points=numpy.concatenate([_to_array(points) for points in self.points]),
            n_first=int(sizes[0].sum()),
            groups=numpy.concatenate([numpy.repeat(numpy.arange(len(own)), own) for own in sizes]),
            layer_ends=numpy.concatenate(sizes).cumsum(),
            centres=_to_array(self.centres),
            sharpness=self.sharpness,
            first_weights=first,
            first_transposed=numpy.ascontiguousarray(first.transpose(0, 2, 1)),
            first_biases=numpy.stack(biases),
            weights=deep,
            transposed=numpy.ascontiguousarray(deep.transpose(0, 2, 1)),
            biases=numpy.array([_to_array(bias) for bias in network.biases]).reshape(-1, width),
            last=_to_array(network.last),
            linear=_to_array(network.linear),
            activation=CODES[self.activation],
        )

    def _separate(self, d: torch.Tensor, first: Orientations, second: Orientations) -> torch.Tensor:
        places = [place_sites(one.rotations, points) for one, points in zip((first, second), self.points, strict=True)]
        return compute_separations(d, places[0], places[1])

    def _compute_radial(self, squares: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """From r_ij², ``(n_pairs, n_a, n_b)``, to φ_k and ln r_ij - m_k, ``(n_radial, n_a, n_b, n_pairs)`` both.

        Pairs come last from here on: sums over points then add up long rows.
        """
        logarithms = 0.5 * torch.log(squares.permute(1, 2, 0).contiguous())
        centred = logarithms - self.centres[:, None, None, None]
        return torch.exp(-0.5 * self.sharpness * (centred * centred)), centred

    def _compute_densities(self, radial: torch.Tensor) -> list[torch.Tensor]:
        """For each group of points of the first body, then of the second: ``(n_inputs, n_points, n_pairs)``.

        The inputs of a point are by group of the other's points, then by k.
        """
        sizes = [list(one.sizes) for one in self.anchors]
        of_first = torch.cat([part.sum(2) for part in radial.split(sizes[1], 2)])
        of_second = torch.cat([part.sum(1) for part in radial.split(sizes[0], 1)])
        return [*of_first.split(sizes[0], 1), *of_second.split(sizes[1], 1)]

    def _pool(self, densities: list[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The mean of the first layer over all points, ``(n_pairs, width)``, and its slopes for each group."""
        total, slopes = densities[0].new_zeros(()), []
        for group, weight, bias in zip(densities, *self._list_layers(), strict=True):
            before = torch.addmm(bias[:, None], weight, group.flatten(1)).unflatten(1, group.shape[1:])
            hidden, slope = self.activate(before)
            total = total + hidden.sum(1)
            slopes.append(slope)
        return (total / self._n_points).T, slopes

    def _spread(self, on_pooled: torch.Tensor, slopes: list[torch.Tensor]) -> torch.Tensor:
        """From the gradient with respect to the mean to those with respect to every φ_k(r_ij)."""
        on_mean = (on_pooled.T / self._n_points)[:, None]
        on_densities = [
            (weight.T @ (slope * on_mean).flatten(1)).reshape(-1, len(self.centres), *slope.shape[1:])
            for slope, weight in zip(slopes, self._list_layers()[0], strict=True)
        ]  # (groups of the other, n_radial, points, n_pairs)
        n_first = len(self.anchors[0].sizes)
        of_first, of_second = (torch.cat(own, 2) for own in (on_densities[:n_first], on_densities[n_first:]))
        return self._repeat(of_first, 1).movedim(0, 2) + self._repeat(of_second, 0).movedim(0, 1)

    def _repeat(self, by_group: torch.Tensor, other: int) -> torch.Tensor:
        """From groups of the other's points to all of them; one group is left to broadcasting."""
        sizes = self.anchors[other].sizes
        return by_group.repeat_interleave(torch.tensor(sizes), 0) if len(sizes) > 1 else by_group

    def _list_layers(self) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Weights, of densities as they are, and biases of all groups, the second body's after the first's."""
        repeat = 2 if self.is_alike else 1
        scaled = [weight * self.scales.repeat(weight.shape[1] // len(self.scales)) for weight in self.weights]
        return scaled * repeat, list(self.biases) * repeat

    @property
    def _n_points(self) -> int:
        return len(self.points[0]) + len(self.points[1])


def _to_array(values: torch.Tensor) -> numpy.ndarray:
    return values.detach().cpu().to(torch.float64).numpy()

"""Energies and forces of a SchNet for dynamics, compiled: one replica after the other, forwards and backwards by hand.

Filters come from a table (:mod:`common.neural.tables`), the derivative is written out, and nothing is allocated within
a replica. A replica's numbers do not depend on which others are computed with it, to the last bit. The formulas are
those of :mod:`common.neural.schnet` and :mod:`common.neural.atom_energies`; gradients run through them in reverse:

    g = ∂U/∂x:   g_z = (g Bᵀ) ∘ σ(z),   g_m = g_z Aᵀ,   g_F(ij) = g_m(i) ∘ h_j + g_m(j) ∘ h_i,
    g += (Σ_j F_ij ∘ g_m(j)) Wᵀ
"""

import collections.abc
import functools
import math
import typing

import numba
import numpy
import torch

from common.neural.atom_energies import AtomEnergyNetwork
from common.neural.schnet import Interaction, SchNetTrunk
from common.neural.tables import build_filter_table

_compile: typing.Any = functools.partial(
    numba.njit,
    fastmath={"contract", "arcp", "nsz", "reassoc"},  # not "nnan" and "ninf": a replica that is lost must be seen to be
    cache=True,
    nogil=True,
    error_model="numpy",
)

_LOG2_E = numpy.float32(1.0 / math.log(2.0))
_POWERS_OF_LN2 = tuple(numpy.float32(math.log(2.0) ** k / math.factorial(k)) for k in range(8))
_ODD_INVERSES = tuple(numpy.float32(2.0 / k) for k in range(1, 17, 2))
_LN2 = numpy.float32(math.log(2.0))
_LARGEST_SQUARE = numpy.float32(1e12)  # [Angstrom²] beyond it positions are lost, as NaN is
_SMALLEST_EXPONENT = numpy.float32(-126.0)


@_compile(inline="always")
def _activate(z, bits, activated, slope):
    """Shifted softplus and its derivative, the sigmoid, of flat float32 arrays; loops that the compiler vectorises.

    With e = exp(-|z|), 2 to a power split in its nearest integer and a Taylor series: softplus(z) = max(z, 0) +
    ln(1 + e), and ln(1 + e) = 2 artanh(e/(2 + e)), whose argument is at most 1/3.
    """
    zero, one, two = numpy.float32(0.0), numpy.float32(1.0), numpy.float32(2.0)
    for i in range(z.size):
        power = max(-abs(z[i]) * _LOG2_E, _SMALLEST_EXPONENT)
        whole = numpy.rint(power)
        bits[i] = (numpy.int32(whole) + numpy.int32(127)) << numpy.int32(23)
        slope[i] = power - whole
    scale = bits.view(numpy.float32)
    for i in range(z.size):
        r = slope[i]
        c0, c1, c2, c3, c4, c5, c6, c7 = _POWERS_OF_LN2
        e = scale[i] * (c0 + r * (c1 + r * (c2 + r * (c3 + r * (c4 + r * (c5 + r * (c6 + r * c7)))))))
        inverse = one / (one + e)
        slope[i] = inverse if z[i] >= zero else e * inverse
        s = e / (two + e)
        q = s * s
        b0, b1, b2, b3, b4, b5, b6, b7 = _ODD_INVERSES
        logarithm = s * (b0 + q * (b1 + q * (b2 + q * (b3 + q * (b4 + q * (b5 + q * (b6 + q * b7)))))))
        activated[i] = max(z[i], zero) + logarithm - _LN2


@_compile(inline="always")
def _add_bias(matrix, bias):
    for i in range(matrix.shape[0]):
        for c in range(matrix.shape[1]):
            matrix[i, c] += bias[c]


@_compile(inline="always")
def _list_neighbours(x, edges, cutoff, step, table, pairs, geometry, filters, slopes):
    """Pairs within the cutoff, their vectors and distances, filters and slopes; how many, or -1 for lost positions."""
    n_pairs = 0
    one, two, three = numpy.float32(1.0), numpy.float32(2.0), numpy.float32(3.0)
    six = numpy.float32(6.0)
    has_box = edges[0] > 0.0
    for i in range(x.shape[0]):
        for j in range(i):
            dx, dy, dz = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
            if has_box:
                dx -= edges[0] * numpy.rint(dx / edges[0])
                dy -= edges[1] * numpy.rint(dy / edges[1])
                dz -= edges[2] * numpy.rint(dz / edges[2])
            square = dx * dx + dy * dy + dz * dz
            if not square < _LARGEST_SQUARE:  # nor is NaN
                return -1
            if square >= cutoff * cutoff:
                continue
            d = numpy.sqrt(square)
            place = d / step
            k = min(int(place), table.shape[0] - 2)
            t = place - numpy.float32(k)
            p, n = pairs[n_pairs], geometry[n_pairs]
            p[0], p[1] = i, j
            n[0], n[1], n[2], n[3] = dx, dy, dz, d
            u = one - t
            v0, m0 = (one + two * t) * u * u, t * u * u
            v1, m1 = t * t * (three - two * t), -t * t * u
            dv, dm0, dm1 = six * t * u / step, u * (one - three * t) / step, t * (three * t - two) / step
            y0, s0, y1, s1 = table[k, 0], table[k, 1], table[k + 1, 0], table[k + 1, 1]
            f, g = filters[n_pairs], slopes[n_pairs]
            for c in range(f.size):
                f[c] = v0 * y0[c] + m0 * s0[c] + v1 * y1[c] + m1 * s1[c]
                g[c] = dv * (y1[c] - y0[c]) + dm0 * s0[c] + dm1 * s1[c]
            n_pairs += 1
    return n_pairs


class _Weights(typing.NamedTuple):
    """The parameters, inputs of a matrix on its first axis; ``turned_*`` have them on the last.

    Attributes:
        start: the embedded elements, ``shape=(n_atoms, n_channels)``.
        inputs, hidden, hidden_bias, outputs, outputs_bias: of all interactions, stacked.
        head, head_bias, last: of the head; ``last`` times the scale.
    """

    start: numpy.ndarray
    inputs: numpy.ndarray
    turned_inputs: numpy.ndarray
    hidden: numpy.ndarray
    turned_hidden: numpy.ndarray
    hidden_bias: numpy.ndarray
    outputs: numpy.ndarray
    turned_outputs: numpy.ndarray
    outputs_bias: numpy.ndarray
    head: numpy.ndarray
    turned_head: numpy.ndarray
    head_bias: numpy.ndarray
    last: numpy.ndarray


class _Space(typing.NamedTuple):
    """Arrays that one replica after the other uses.

    Attributes:
        pairs, geometry: the two atoms of each pair; its vector and distance.
        filters, slopes: of each pair for all interactions, and their derivatives with respect to the distance.
        pulls: the derivative of the energy with respect to each distance.
        x, gradient: features, and the derivative of the energy with respect to them.
        h, sigma: of each interaction, what atoms send, and the slopes of its activations.
        messages, sent: sums over neighbours, forwards and backwards.
        z, y: before and after an activation; z_head, y_head, sigma_head those of the head.
        bits: room for the activations.
    """

    pairs: numpy.ndarray
    geometry: numpy.ndarray
    filters: numpy.ndarray
    slopes: numpy.ndarray
    pulls: numpy.ndarray
    x: numpy.ndarray
    gradient: numpy.ndarray
    h: numpy.ndarray
    sigma: numpy.ndarray
    messages: numpy.ndarray
    sent: numpy.ndarray
    z: numpy.ndarray
    y: numpy.ndarray
    z_head: numpy.ndarray
    y_head: numpy.ndarray
    sigma_head: numpy.ndarray
    bits: numpy.ndarray


def _make_space(n_atoms: int, weights: _Weights) -> _Space:
    n_interactions, n_filters, n_channels = weights.hidden.shape
    n_hidden, n_pairs = len(weights.last), n_atoms * (n_atoms - 1) // 2

    def make(*shape: int) -> numpy.ndarray:
        return numpy.empty(shape, numpy.float32)

    return _Space(
        pairs=numpy.empty((n_pairs, 2), numpy.int64),
        geometry=make(n_pairs, 4),
        filters=make(n_pairs, n_interactions * n_filters),
        slopes=make(n_pairs, n_interactions * n_filters),
        pulls=make(n_pairs),
        x=make(n_atoms, n_channels),
        gradient=make(n_atoms, n_channels),
        h=make(n_interactions, n_atoms, n_filters),
        sigma=make(n_interactions, n_atoms, n_channels),
        messages=make(n_atoms, n_filters),
        sent=make(n_atoms, n_filters),
        z=make(n_atoms, n_channels),
        y=make(n_atoms, n_channels),
        z_head=make(n_atoms, n_hidden),
        y_head=make(n_atoms, n_hidden),
        sigma_head=make(n_atoms, n_hidden),
        bits=numpy.empty(n_atoms * max(n_channels, n_hidden), numpy.int32),
    )


@_compile()
def _run_forwards(weights, space, n_pairs):
    """The energy without its constant; what the way back needs stays in ``space``."""
    n_interactions, n_filters, n_channels = weights.hidden.shape
    x, messages, z, y = space.x, space.messages, space.z, space.y
    x[:] = weights.start
    for layer in range(n_interactions):
        first, h = layer * n_filters, space.h[layer]
        numpy.dot(x, weights.inputs[layer], h)
        messages[:] = 0.0
        for p in range(n_pairs):
            i, j = space.pairs[p, 0], space.pairs[p, 1]
            f = space.filters[p, first : first + n_filters]
            m_i, m_j, h_i, h_j = messages[i], messages[j], h[i], h[j]
            for c in range(n_filters):
                m_i[c] += f[c] * h_j[c]
            for c in range(n_filters):
                m_j[c] += f[c] * h_i[c]
        numpy.dot(messages, weights.hidden[layer], z)
        _add_bias(z, weights.hidden_bias[layer])
        _activate(z.ravel(), space.bits[: z.size], y.ravel(), space.sigma[layer].ravel())
        numpy.dot(y, weights.outputs[layer], z)
        _add_bias(z, weights.outputs_bias[layer])
        for i in range(x.shape[0]):
            for c in range(n_channels):
                x[i, c] += z[i, c]
    numpy.dot(x, weights.head, space.z_head)
    _add_bias(space.z_head, weights.head_bias)
    _activate(space.z_head.ravel(), space.bits[: space.z_head.size], space.y_head.ravel(), space.sigma_head.ravel())
    energy = 0.0
    for i in range(x.shape[0]):
        for c in range(len(weights.last)):
            energy += space.y_head[i, c] * weights.last[c]
    return energy


@_compile()
def _run_backwards(weights, space, n_pairs):
    """Leaves in ``space.pulls`` the derivative of the energy with respect to the distance of each pair."""
    n_interactions, n_filters, n_channels = weights.hidden.shape
    gradient, sent, z = space.gradient, space.sent, space.z
    for i in range(len(z)):
        for c in range(len(weights.last)):
            space.sigma_head[i, c] *= weights.last[c]
    numpy.dot(space.sigma_head, weights.turned_head, gradient)
    space.pulls[:n_pairs] = 0.0
    for layer in range(n_interactions - 1, -1, -1):
        first, h, sigma = layer * n_filters, space.h[layer], space.sigma[layer]
        numpy.dot(gradient, weights.turned_outputs[layer], z)
        for i in range(len(z)):
            for c in range(n_channels):
                z[i, c] *= sigma[i, c]
        numpy.dot(z, weights.turned_hidden[layer], space.messages)
        sent[:] = 0.0
        for p in range(n_pairs):
            i, j = space.pairs[p, 0], space.pairs[p, 1]
            f, slope = space.filters[p, first : first + n_filters], space.slopes[p, first : first + n_filters]
            g_i, g_j, h_i, h_j = space.messages[i], space.messages[j], h[i], h[j]
            pull = numpy.float32(0.0)
            for c in range(n_filters):
                pull += slope[c] * (g_i[c] * h_j[c] + g_j[c] * h_i[c])
            space.pulls[p] += pull
            if layer > 0:  # the features before the first interaction do not depend on the coordinates
                s_i, s_j = sent[i], sent[j]
                for c in range(n_filters):
                    s_j[c] += f[c] * g_i[c]
                for c in range(n_filters):
                    s_i[c] += f[c] * g_j[c]
        if layer > 0:
            numpy.dot(sent, weights.turned_inputs[layer], z)
            for i in range(len(z)):
                for c in range(n_channels):
                    gradient[i, c] += z[i, c]


@_compile()
def _compute(coords, edges, cutoff, step, table, weights, space, energies, forces):
    """Energies without their constant, and forces, of all replicas; NaN where positions are lost."""
    for r in range(len(coords)):
        n_pairs = _list_neighbours(
            coords[r], edges, cutoff, step, table, space.pairs, space.geometry, space.filters, space.slopes
        )
        force = forces[r]
        if n_pairs < 0:
            energies[r] = numpy.nan
            force[:] = numpy.nan
            continue
        energies[r] = _run_forwards(weights, space, n_pairs)
        _run_backwards(weights, space, n_pairs)
        force[:] = 0.0
        for p in range(n_pairs):
            i, j = space.pairs[p, 0], space.pairs[p, 1]
            pull = space.pulls[p] / space.geometry[p, 3]
            for k in range(3):
                force[i, k] -= pull * space.geometry[p, k]
                force[j, k] += pull * space.geometry[p, k]


def _collect_weights(
    network: AtomEnergyNetwork, parts: collections.abc.Sequence[Interaction], atomic_nums: torch.Tensor
) -> _Weights:
    def stack(tensors: collections.abc.Iterable[torch.Tensor]) -> numpy.ndarray:
        return numpy.ascontiguousarray(torch.stack(list(tensors)).cpu().numpy(), dtype=numpy.float32)

    head, last = network.head_hidden, network.settings.scale * network.head.weight[0]
    return _Weights(
        start=stack([network.embedding(atomic_nums)])[0],
        inputs=stack(part.input.weight.T for part in parts),
        turned_inputs=stack(part.input.weight for part in parts),
        hidden=stack(part.output_hidden.weight.T for part in parts),
        turned_hidden=stack(part.output_hidden.weight for part in parts),
        hidden_bias=stack(part.output_hidden.bias for part in parts),
        outputs=stack(part.output.weight.T for part in parts),
        turned_outputs=stack(part.output.weight for part in parts),
        outputs_bias=stack(part.output.bias for part in parts),
        head=stack([head.weight.T])[0],
        turned_head=stack([head.weight])[0],
        head_bias=stack([head.bias])[0],
        last=stack([last])[0],
    )


class CompiledSchNet:
    """Energies and forces of one system by a SchNet with the parameters that it had when this was made."""

    def __init__(self, network: AtomEnergyNetwork, atomic_nums: torch.Tensor, cell: torch.Tensor | None):
        """Copies the parameters and tabulates the filters; takes some milliseconds.

        Raises:
            TypeError: the network is no SchNet.
        """
        if not isinstance(network.trunk, SchNetTrunk):
            raise TypeError("only a SchNet is compiled")
        table = build_filter_table(network.trunk)
        with torch.no_grad():
            self._weights = _collect_weights(network, network.trunk.interactions, atomic_nums)
            self._offset = network.settings.scale * network.head.bias.item() * len(atomic_nums)
        self._space = _make_space(len(atomic_nums), self._weights)
        edges = numpy.zeros(3, numpy.float32) if cell is None else cell.cpu().numpy().astype(numpy.float32)
        self._table = (edges, numpy.float32(table.cutoff), numpy.float32(table.step), table.values)

    def __call__(self, coords: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Energies [kcal/mol] ``shape=(n_frames,)`` and forces of the shape of ``coords``, both float32.

        Args:
            coords: [Angstrom] ``shape=(n_frames, n_atoms, 3)`` float32.
        """
        x = numpy.ascontiguousarray(coords.detach().numpy(), dtype=numpy.float32)
        energies, forces = numpy.empty(len(x)), numpy.empty_like(x)
        _compute(x, *self._table, self._weights, self._space, energies, forces)
        return torch.from_numpy(energies + self._offset).to(torch.float32), torch.from_numpy(forces)

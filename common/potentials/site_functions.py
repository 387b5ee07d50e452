"""Functions of the distance between two sites, by name: Lennard-Jones, smoothed or truncated, Yukawa, Coulomb.

Each gives the energy u(r) and its slope u'(r) / r, whose product with the vector between the sites is the gradient: no
square root is taken where the function needs none. Parameters belong to the labels of the sites; those of a pair come
from a rule of mixing.
"""

import collections.abc
import dataclasses
import typing

import torch

from common.units import COULOMB_CONSTANT

Evaluate = collections.abc.Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""From squared distances ``(..., n_a, n_b)`` to energies and slopes, of the same shape."""


@dataclasses.dataclass(frozen=True)
class SiteTerm:
    """One kind of interaction between labelled sites, in plain values.

    Attributes:
        function: a name of ``FUNCTIONS``.
        parameters: by name, such as "epsilon", the value of each label.
        constants: what is the same for all pairs, such as "cutoff".
    """

    function: str
    parameters: dict[str, dict[str, float]]
    constants: dict[str, float] = dataclasses.field(default_factory=dict)


class _Function(typing.NamedTuple):
    parameters: tuple[str, ...]
    constants: tuple[str, ...]
    build: collections.abc.Callable[..., Evaluate]


def build_site_function(
    term: SiteTerm, first: collections.abc.Sequence[str], second: collections.abc.Sequence[str], dtype: torch.dtype
) -> Evaluate:
    """The function of a term between all sites of one body and all of another.

    Args:
        term: the interaction.
        first, second: the labels of the bodies' sites.
        dtype: of the numbers.

    Raises:
        ValueError: there is no such function, or a parameter, a constant or a label is missing.
    """
    if term.function not in FUNCTIONS:
        raise ValueError(f"no function {term.function!r} between sites; there are {', '.join(FUNCTIONS)}")
    function = FUNCTIONS[term.function]
    for names, given, what in (
        (function.parameters, term.parameters, "parameter"),
        (function.constants, term.constants, "constant"),
    ):
        if set(names) != set(given):
            raise ValueError(f"{term.function} needs the {what}s {', '.join(names) or 'none'}; given: {list(given)}")
    values = []
    for name in function.parameters:
        missing = {*first, *second} - term.parameters[name].keys()
        if missing:
            raise ValueError(f"{term.function}: no {name} for the sites {', '.join(sorted(missing))}")
        own = [
            torch.tensor([term.parameters[name][label] for label in labels], dtype=dtype) for labels in (first, second)
        ]
        values.append((own[0][:, None], own[1][None, :]))
    return function.build(*values, **term.constants)


_Pair = tuple[torch.Tensor, torch.Tensor]


def _mix(epsilon: _Pair, sigma: _Pair) -> tuple[torch.Tensor, torch.Tensor]:
    """Lorentz and Berthelot: geometric mean of ε, arithmetic mean of σ."""
    return torch.sqrt(epsilon[0] * epsilon[1]), 0.5 * (sigma[0] + sigma[1])


def _build_lennard_jones(epsilon: _Pair, sigma: _Pair) -> Evaluate:
    """4 ε ((σ/r)¹² - (σ/r)⁶)."""
    depth, size = _mix(epsilon, sigma)
    repulsion, attraction = 4.0 * depth * size**12, 4.0 * depth * size**6

    def evaluate(squares):
        inverse = 1.0 / squares
        sixth = inverse * inverse * inverse
        first, second = repulsion * sixth * sixth, attraction * sixth
        return first - second, (6.0 * second - 12.0 * first) * inverse

    return evaluate


def _build_wca(epsilon: _Pair, sigma: _Pair) -> Evaluate:
    """Lennard-Jones up to its minimum and shifted to end there at zero (Weeks, Chandler and Andersen, 1971)."""
    depth, size = _mix(epsilon, sigma)
    lennard_jones = _build_lennard_jones(epsilon, sigma)
    cutoff = 2.0 ** (1.0 / 3.0) * size**2

    def evaluate(squares):
        energy, slope = lennard_jones(squares)
        is_near = squares < cutoff
        return torch.where(is_near, energy + depth, 0.0), torch.where(is_near, slope, 0.0)

    return evaluate


def _build_smooth_lennard_jones(epsilon: _Pair, sigma: _Pair, inner: float, cutoff: float) -> Evaluate:
    """As ``lj/smooth`` of LAMMPS: from ``inner`` to ``cutoff`` the force is the cubic that ends smoothly at zero.

    F(s) = f + f' s + c s² + d s³ with s = r - inner, f and f' those of Lennard-Jones at ``inner``, and F = F' = 0 at
    the cutoff; the energy is zero there and continuous.
    """
    depth, size = _mix(epsilon, sigma)
    lennard_jones = _build_lennard_jones(epsilon, sigma)
    width = cutoff - inner
    sixth = (size / inner) ** 6
    force = 24.0 * depth * (2.0 * sixth**2 - sixth) / inner
    force_slope = -24.0 * depth * (26.0 * sixth**2 - 7.0 * sixth) / inner**2
    c = -(3.0 * force + 2.0 * force_slope * width) / width**2
    d = (2.0 * force + force_slope * width) / width**3

    def integrate(s):
        return s * (force + s * (force_slope / 2.0 + s * (c / 3.0 + s * d / 4.0)))

    shift = integrate(width) - 4.0 * depth * (sixth**2 - sixth)

    def evaluate(squares):
        energy, slope = lennard_jones(squares)
        r = torch.sqrt(squares)
        s = r - inner
        switched = integrate(width) - integrate(s)
        switched_slope = -(force + s * (force_slope + s * (c + s * d))) / r
        is_inside, is_near = s < 0.0, r < cutoff
        energy = torch.where(is_inside, energy + shift, torch.where(is_near, switched, 0.0))
        return energy, torch.where(is_inside, slope, torch.where(is_near, switched_slope, 0.0))

    return evaluate


def _build_yukawa(strength: _Pair, screening: float) -> Evaluate:
    """A exp(-κ r) / r, A the product of the sites' own strengths."""
    product = strength[0] * strength[1]

    def evaluate(squares):
        r = torch.sqrt(squares)
        energy = product * torch.exp(-screening * r) / r
        return energy, -energy * (screening + 1.0 / r) / r

    return evaluate


def _build_coulomb(charge: _Pair) -> Evaluate:
    """The product of charges [e] over 4 π ε₀ r, in kcal/mol and Angstrom."""
    strength = COULOMB_CONSTANT * charge[0] * charge[1]

    def evaluate(squares):
        energy = strength * torch.rsqrt(squares)
        return energy, -energy / squares

    return evaluate


FUNCTIONS = {
    "lennard-jones": _Function(("epsilon", "sigma"), (), _build_lennard_jones),
    "lj/smooth": _Function(("epsilon", "sigma"), ("inner", "cutoff"), _build_smooth_lennard_jones),
    "wca": _Function(("epsilon", "sigma"), (), _build_wca),
    "yukawa": _Function(("strength",), ("screening",), _build_yukawa),
    "coulomb": _Function(("charge",), (), _build_coulomb),
}

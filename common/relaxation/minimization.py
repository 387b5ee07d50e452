"""Many geometries of one molecule brought to minima at once, free or with one dihedral held exactly where it is.

Quasi-Newton steps with the inverse Hessian of Broyden, Fletcher, Goldfarb and Shanno (Nocedal, Wright, Numerical
Optimization, 2nd edition, section 6.1), which starts from the stiffness of the force field itself at the starting
geometry: some tens of steps, where a multiple of the unit matrix takes hundreds. All geometries step together, each at
its own length; those that are done leave.

With a dihedral held, steps are tangential to the surface on which it has its value, after each of them the geometry is
put back onto it, and what is learned of the curvature is that of the Lagrangian (the same book, section 18.1). What is
asked to vanish is the force without its part along the gradient of the dihedral.
"""

import collections.abc
import dataclasses
import math

import numpy
import torch

from common.geometry.internal_coordinates import compute_dihedrals_with_gradients
from common.relaxation.surface import Surface

MAX_FORCE = 1e-4
"""[kcal/mol/Angstrom] A geometry is at its minimum where no atom has a larger force."""

MAX_STEPS = 1_000
"""A geometry that takes more has not converged. Found: 20 to 100 for molecules of 50 atoms."""

RIDGE = 2.0
"""[kcal/mol/Angstrom²] Added to the stiffness: that of motions that nothing holds."""

LONGEST = 0.3
"""[Angstrom] No atom moves further in one step."""

LEAST = 1e-9
"""[Angstrom] Where steps shorter than this are still uphill, rounding has the last word."""

SUFFICIENT = 1e-4
"""Part of what the gradient promises by which the energy must fall."""

ROUNDING = 1e-12
"""Of an energy, relative to its magnitude: a step may seem to lead uphill by so much."""

CLOSEST = 0.5
"""[Angstrom] Atoms nearer than this fell into one another: the repulsion of some hydrogens is too weak to stop them."""

MAX_ELEMENTS = 8_000_000
"""Of all inverse Hessians held at once: bounds the memory."""


@dataclasses.dataclass(frozen=True)
class HeldDihedral:
    """A dihedral that is not to change.

    Attributes:
        atoms: its four atoms, counted from 0.
        angles: [radian] what it is held at in each geometry, ``shape=(n_confs,)``.
    """

    atoms: tuple[int, int, int, int]
    angles: numpy.ndarray


@dataclasses.dataclass(frozen=True)
class Minimization:
    """Where geometries ended.

    Attributes:
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
        energy: [kcal/mol] ``shape=(n_confs,)``.
        max_force: [kcal/mol/Angstrom] the largest force on an atom that nothing holds, likewise.
        n_steps: how many evaluations it took, likewise.
        failures: why a geometry did not reach a minimum; "" where it did, likewise.
    """

    coords: numpy.ndarray
    energy: numpy.ndarray
    max_force: numpy.ndarray
    n_steps: numpy.ndarray
    failures: tuple[str, ...]

    @property
    def converged(self) -> numpy.ndarray:
        """Which geometries reached a minimum, ``shape=(n_confs,)``."""
        return numpy.array([not failure for failure in self.failures], dtype=bool)


def minimize(
    surface: Surface,
    coords: numpy.ndarray,
    held: HeldDihedral | None = None,
    max_force: float = MAX_FORCE,
    max_steps: int = MAX_STEPS,
) -> Minimization:
    """Moves geometries downhill until no atom feels a force larger than asked.

    Args:
        surface: of the molecule.
        coords: [Angstrom] where to start, ``shape=(n_confs, n_atoms, 3)``.
        held: a dihedral that keeps its value; None: all is free.
        max_force: [kcal/mol/Angstrom] on any atom at the end.
        max_steps: after so many a geometry has failed.

    Raises:
        ValueError: the coordinates are not of that shape.
    """
    if coords.ndim != 3 or coords.shape[1:] != (surface.n_atoms, 3):
        raise ValueError(f"coords have shape {coords.shape}, expected (n_confs, {surface.n_atoms}, 3)")
    size = max(1, MAX_ELEMENTS // (3 * surface.n_atoms) ** 2)
    blocks = [slice(start, start + size) for start in range(0, len(coords), size)]
    parts = []
    for block in blocks:
        angles = None if held is None else torch.from_numpy(numpy.asarray(held.angles, dtype=numpy.float64)[block])
        tether = _Tether(() if held is None else held.atoms, angles)
        parts.append(_Descent(surface, coords[block], tether).run(max_force, max_steps))
    return Minimization(
        **{
            name: numpy.concatenate([getattr(part, name) for part in parts])
            for name in ("coords", "energy", "max_force", "n_steps")
        },
        failures=tuple(failure for part in parts for failure in part.failures),
    )


@dataclasses.dataclass
class _Tether:
    """The dihedral of each geometry that is held, or none."""

    atoms: collections.abc.Sequence[int]
    angles: torch.Tensor | None

    def keep(self, chosen: torch.Tensor) -> "_Tether":
        return _Tether(self.atoms, None if self.angles is None else self.angles[chosen])

    def measure(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """By how much each geometry is off [radian] ``shape=(n_confs,)``, and the gradient of that, as ``x``."""
        gradient = torch.zeros_like(x).reshape(len(x), -1, 3)
        if self.angles is None:
            return x.new_zeros(len(x)), gradient.reshape(x.shape)
        points = x.reshape(len(x), -1, 3)[:, list(self.atoms)].permute(2, 0, 1)
        phi, dphi_dx = compute_dihedrals_with_gradients(*points.unbind(-1))
        for atom, own in zip(self.atoms, dphi_dx, strict=True):
            gradient[:, atom] += own.T
        off = torch.remainder(phi - self.angles + math.pi, 2.0 * math.pi) - math.pi
        return off, gradient.reshape(x.shape)

    def restore(self, x: torch.Tensor) -> torch.Tensor:
        """The nearest geometries at which the dihedrals have their values."""
        if self.angles is None:
            return x
        for _ in range(8):
            off, gradient = self.measure(x)
            if not (off.abs() > 1e-13).any():
                break
            x = x - (off / _square(gradient).clamp_min(1e-12))[:, None] * gradient
        return x


class _Descent:
    """The geometries that are under way; each step asks for the energies of all of them once."""

    def __init__(self, surface: Surface, coords: numpy.ndarray, tether: _Tether):
        self.surface = surface
        x = torch.from_numpy(numpy.ascontiguousarray(coords, dtype=numpy.float64)).reshape(len(coords), -1)
        self.tether = tether
        self.x = tether.restore(x)
        self.places = torch.arange(len(x))
        self.energy, self.gradient = surface.evaluate(self.x)
        self.normal = tether.measure(self.x)[1]
        self.inverse = self._invert_stiffness()
        self.longest = torch.full_like(self.energy, LONGEST)
        self.end = [torch.full_like(self.x, math.nan), *(torch.full_like(self.energy, math.nan) for _ in range(3))]
        self.failures = [""] * len(x)

    def _invert_stiffness(self) -> torch.Tensor:
        stiffness = self.surface.compute_stiffness(self.x)
        unit = torch.eye(stiffness.shape[-1], dtype=stiffness.dtype)
        return torch.cholesky_inverse(torch.linalg.cholesky(stiffness + RIDGE * unit))

    def run(self, max_force: float, max_steps: int) -> Minimization:
        for step in range(1, max_steps + 1):
            largest = self._find_largest_force()
            self._retire(largest <= max_force, step, largest, "")
            if len(self.x):
                largest = self._find_largest_force()
                self._retire(~(self.longest > LEAST), step, largest, "no step leads downhill")
            if not len(self.x):
                break
            self._step()
        if len(self.x):
            largest = self._find_largest_force()
            everything = torch.ones_like(largest, dtype=torch.bool)
            self._retire(everything, max_steps, largest, f"not at a minimum after {max_steps} steps")
        coords = self.end[0].reshape(len(self.end[0]), -1, 3).numpy()
        return Minimization(
            coords=coords,
            energy=self.end[1].numpy(),
            max_force=self.end[2].numpy(),
            n_steps=self.end[3].numpy().astype(numpy.int64),
            failures=tuple(failure or _find_collapse(one) for failure, one in zip(self.failures, coords, strict=True)),
        )

    def _find_largest_force(self) -> torch.Tensor:
        free = _project(self.gradient, self.normal)
        return free.reshape(len(free), -1, 3).norm(dim=-1).amax(dim=-1)

    def _retire(self, done: torch.Tensor, step: int, largest: torch.Tensor, failure: str) -> None:
        """Those that are done leave, with where they are."""
        if not done.any():
            return
        leaving = self.places[done]
        values = (self.x[done], self.energy[done], largest[done], torch.full_like(largest[done], step))
        for end, value in zip(self.end, values, strict=True):
            end[leaving] = value
        for place in leaving.tolist():
            self.failures[place] = failure
        left = ~done
        for name in ("x", "places", "energy", "gradient", "normal", "inverse", "longest"):
            setattr(self, name, getattr(self, name)[left])
        self.tether = self.tether.keep(left)

    def _step(self) -> None:
        p = self._find_step()
        trial = self.tether.restore(self.x + p)
        energy, gradient = self.surface.evaluate(trial)
        normal = self.tether.measure(trial)[1]
        promised = (self.gradient * p).sum(-1)
        finite = energy.isfinite() & gradient.isfinite().all(dim=-1)
        accepted = finite & (energy <= self.energy + SUFFICIENT * promised + ROUNDING * (1.0 + self.energy.abs()))
        # the multiplier of the trial, so that the Lagrangian of before and after is the same function
        multiplier = -(gradient * normal).sum(-1) / _square(normal).clamp_min(1e-12)
        change = (gradient - self.gradient) + multiplier[:, None] * (normal - self.normal)
        self._learn(trial - self.x, change, finite)
        length = _find_longest(p)
        self.longest = torch.where(accepted, (2.0 * self.longest).clamp_max(LONGEST), 0.4 * length)
        self.x = torch.where(accepted[:, None], trial, self.x)
        self.energy = torch.where(accepted, energy, self.energy)
        self.gradient = torch.where(accepted[:, None], gradient, self.gradient)
        self.normal = torch.where(accepted[:, None], normal, self.normal)

    def _find_step(self) -> torch.Tensor:
        """The quasi-Newton step among those that leave the held dihedral as it is, none longer than allowed."""
        newton = (self.inverse @ self.gradient[..., None])[..., 0]
        if self.tether.angles is not None:
            along = (self.inverse @ self.normal[..., None])[..., 0]
            share = (self.normal * newton).sum(-1) / (self.normal * along).sum(-1).clamp_min(1e-12)
            newton = newton - share[:, None] * along
        scale = (self.longest / _find_longest(newton).clamp_min(1e-300)).clamp_max(1.0)
        return -scale[:, None] * newton

    def _learn(self, s: torch.Tensor, y: torch.Tensor, finite: torch.Tensor) -> None:
        """Gradients changed by ``y`` along ``s``; where the curvature is not positive, nothing is learned from it."""
        sy = (s * y).sum(-1)
        useful = finite & (sy > 1e-10 * torch.sqrt(_square(s) * _square(y))) & (sy > 0.0)
        rho = torch.where(useful, 1.0 / torch.where(useful, sy, 1.0), 0.0)
        s, y = (torch.where(useful[:, None], one, 0.0) for one in (s, y))
        product = (self.inverse @ y[..., None])[..., 0]
        a = (0.5 * rho * (1.0 + rho * (y * product).sum(-1)))[:, None] * s - rho[:, None] * product
        self.inverse = torch.baddbmm(self.inverse, torch.stack((s, a), dim=-1), torch.stack((a, s), dim=-2))


def _square(vectors: torch.Tensor) -> torch.Tensor:
    return (vectors * vectors).sum(-1)


def _project(gradient: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """Gradients without their part along ``normal``; as they are where it is zero."""
    share = (gradient * normal).sum(-1) / _square(normal).clamp_min(1e-12)
    return gradient - share[:, None] * normal


def _find_longest(step: torch.Tensor) -> torch.Tensor:
    return step.reshape(len(step), -1, 3).norm(dim=-1).amax(dim=-1)


def _find_collapse(coords: numpy.ndarray) -> str:
    distances = torch.pdist(torch.from_numpy(coords))
    return "atoms fell into one another" if len(distances) and not float(distances.min()) > CLOSEST else ""

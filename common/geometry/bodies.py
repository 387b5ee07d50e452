"""Rigid bodies: sites with masses, seen from their centre of mass along their principal axes.

Linear bodies lie on the z axis and have no moment of inertia about it; point bodies have none at all. The axis of a
symmetric top is z, too, whether its moment is the largest (benzene) or the smallest (chloroform).
"""

import collections.abc
import dataclasses
import functools

import numpy

from common.geometry.superposition import Superposition, find_superpositions

DEGENERATE = 1e-3
"""Moments that differ by less, as a part of the largest, are the same; the axes in their plane are free."""

VANISHING = 1e-8
"""A moment that is less, as a part of the largest, is none."""


@dataclasses.dataclass(frozen=True)
class Body:
    """A rigid body.

    Attributes:
        name: what it is called in files and messages.
        sites: [length] ``shape=(n_sites, 3)``, about the centre of mass, along the principal axes.
        masses: ``shape=(n_sites,)``, in units of energy time² / length², so that no equation of motion has a factor.
        labels: what each site is, such as "C" or "vdW 12"; sites of one label are alike.
    """

    name: str
    sites: numpy.ndarray
    masses: numpy.ndarray
    labels: tuple[str, ...]

    @property
    def n_sites(self) -> int:
        return len(self.sites)

    @property
    def mass(self) -> float:
        return float(self.masses.sum())

    @functools.cached_property
    def moments(self) -> numpy.ndarray:
        """The principal moments of inertia, ``shape=(3,)``; exactly zero about the axis of a rod."""
        squares = self.masses @ self.sites**2
        moments = squares.sum() - squares
        return numpy.where(moments < VANISHING * max(moments.max(), 1e-300), 0.0, moments)

    @functools.cached_property
    def own_rotations(self) -> list[Superposition]:
        """The proper rotations about the centre that the body looks the same after; of a rod, one for each end up."""
        return find_superpositions(self.sites, self.sites, self.labels, self.labels)

    @property
    def is_linear(self) -> bool:
        return int((self.moments > 0.0).sum()) == 2

    @functools.cached_property
    def fold(self) -> int:
        """The order of the rotation axis along z: 6 of benzene."""
        about_z = [one for one in self.own_rotations if abs(one.rotation[2, 2] - 1.0) < 1e-6]
        return len(about_z)


def build_body(
    name: str, coords: numpy.ndarray, masses: numpy.ndarray, labels: collections.abc.Sequence[str]
) -> tuple[Body, numpy.ndarray]:
    """The body of sites in any place and orientation, made exactly as symmetric as it is within tolerance.

    Args:
        name: of the body.
        coords: [length] ``shape=(n_sites, 3)``.
        masses: ``shape=(n_sites,)``, not negative; sites without mass are allowed.
        labels: what each site is.

    Returns:
        the body, and the rotation ``shape=(3, 3)`` from its axes to those of ``coords``.

    Raises:
        ValueError: there is no site, no mass, or a number that is not finite.
    """
    coords, masses = numpy.asarray(coords, dtype=numpy.float64), numpy.asarray(masses, dtype=numpy.float64)
    if coords.ndim != 2 or coords.shape[1:] != (3,) or not len(coords) == len(masses) == len(labels):
        raise ValueError(f"{name}: a body needs a position, a mass and a label for each of its sites")
    if not (numpy.isfinite(coords).all() and numpy.isfinite(masses).all()) or (masses < 0.0).any() or not masses.sum():
        raise ValueError(f"{name}: a position or mass of a site is not finite, or the body has no mass")
    centred = coords - masses @ coords / masses.sum()
    centred = _symmetrize(centred, [f"{label}/{mass:.6g}" for label, mass in zip(labels, masses, strict=True)])
    axes = _choose_axes(centred, masses)
    sites = centred @ axes
    sites[abs(sites) < 1e-12 * max(abs(sites).max(), 1e-300)] = 0.0
    return Body(name, sites, masses, tuple(labels)), axes


def _symmetrize(centred: numpy.ndarray, labels: collections.abc.Sequence[str]) -> numpy.ndarray:
    """The mean over all images of the body under its own rotations: what is nearly symmetric becomes so exactly."""
    mean = centred
    for _ in range(3):  # the rotations themselves are those of a body that is not quite symmetric yet
        images = [mean[one.order] @ one.rotation for one in find_superpositions(mean, mean, labels, labels)]
        mean = numpy.mean(images, axis=0)
    return mean


def _choose_axes(centred: numpy.ndarray, masses: numpy.ndarray) -> numpy.ndarray:
    """The principal axes as columns, right-handed, the same for the same body: z, then x, are chosen by its sites."""
    inertia = numpy.eye(3) * (masses @ (centred**2).sum(axis=1)) - numpy.einsum("s,si,sj", masses, centred, centred)
    moments, axes = numpy.linalg.eigh(inertia)
    alike = numpy.diff(moments) < DEGENERATE * max(moments[2], 1e-300)
    if alike[1] and not alike[0]:  # a prolate top or rod: its axis is that of the smallest moment
        axes = axes[:, [1, 2, 0]]
    if alike.all():  # a spherical top or a point: any axes will do, those of the first site are kept
        return numpy.eye(3)
    z = axes[:, 2] * _choose_sign(centred @ axes[:, 2])
    x = axes[:, 0]
    if alike.any():
        x = _point_to_a_site(centred, z, x)
    x = x * _choose_sign(centred @ x)
    return numpy.stack((x, numpy.cross(z, x), z), axis=1)


def _choose_sign(projections: numpy.ndarray) -> float:
    """Such that the first of the sites that lie farthest along the axis is on its positive side."""
    farthest = numpy.flatnonzero(abs(projections) > (1.0 - 1e-6) * abs(projections).max())
    return -1.0 if len(farthest) and projections[farthest[0]] < 0.0 else 1.0


def _point_to_a_site(centred: numpy.ndarray, z: numpy.ndarray, x: numpy.ndarray) -> numpy.ndarray:
    """The direction across z of the first of the sites farthest from it; ``x`` where all sites are on the axis."""
    across = centred - numpy.outer(centred @ z, z)
    distances = numpy.linalg.norm(across, axis=1)
    if distances.max() < DEGENERATE * max(abs(centred).max(), 1e-300):
        return x
    first = numpy.flatnonzero(distances > (1.0 - 1e-6) * distances.max())[0]
    return across[first] / distances[first]

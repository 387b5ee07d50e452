"""Which bodies there are and what acts between them: enough to simulate them again, as one plain record."""

import dataclasses
import typing

import numpy
import torch

from common.dynamics.rigid_bodies import Inertia, collect_inertia
from common.geometry.bodies import Body
from common.potentials.body_pairs import BodyPotential, Pairs, PairTerm, Spring, Switched, pair_all
from common.potentials.site_functions import SiteTerm
from common.potentials.site_sums import build_site_sum

UNITS = {
    "molecular": ("Å", "kcal/mol", "fs"),
    "reduced": ("σ", "ε", "τ"),
}
"""The units of length, energy and time of a system."""

SWITCH_ON = 0.8
"""The part of the cutoff from which on interactions are switched off."""


@dataclasses.dataclass(frozen=True)
class BodySystem:
    """Bodies and their interactions.

    Attributes:
        bodies: in the order of all arrays.
        site_terms: what acts between the sites of different bodies; empty where it is not known.
        spring: between the centres of all pairs, known and never learned; None for none.
        box: [length] the edge of a cubic box; None in the open.
        cutoff: [length] of the distances of centres, at which the sites' interaction has been switched off; None for
            no limit.
        units: a name of ``UNITS``.
    """

    bodies: tuple[Body, ...]
    site_terms: tuple[SiteTerm, ...] = ()
    spring: Spring | None = None
    box: float | None = None
    cutoff: float | None = None
    units: str = "molecular"

    @property
    def kinds(self) -> list[Body]:
        """The different bodies, in the order in which they come first."""
        return list({body.name: body for body in self.bodies}.values())

    def group_pairs(self) -> dict[tuple[str, str], tuple[torch.Tensor, torch.Tensor]]:
        """The pairs of bodies by their names, those of the kind that comes first in front."""
        order = [body.name for body in self.kinds]
        groups: dict[tuple[str, str], tuple[list[int], list[int]]] = {}
        for i, one in enumerate(self.bodies):
            for j in range(i + 1, len(self.bodies)):
                a, b = (i, j) if order.index(one.name) <= order.index(self.bodies[j].name) else (j, i)
                first, second = groups.setdefault((self.bodies[a].name, self.bodies[b].name), ([], []))
                first.append(a)
                second.append(b)
        return {names: (torch.tensor(first), torch.tensor(second)) for names, (first, second) in groups.items()}

    def build_inertia(self, dtype: torch.dtype = torch.float64) -> Inertia:
        return collect_inertia(self.bodies, dtype)

    def build_site_potential(self, dtype: torch.dtype = torch.float64) -> BodyPotential:
        """The sum over all sites, without the spring.

        Raises:
            ValueError: the interaction of the sites is not known.
        """
        named = {body.name: body for body in self.kinds}
        return self.build_potential(
            {
                pair: build_site_sum(named[pair[0]], named[pair[1]], self.site_terms, dtype)
                for pair in self.group_pairs()
            }
        )

    def build_potential(self, terms: dict[tuple[str, str], PairTerm]) -> BodyPotential:
        """What acts where these terms act between pairs of the kinds of bodies; switched off towards the cutoff."""
        groups = []
        for names, (first, second) in self.group_pairs().items():
            term = terms[names]
            acting = term if self.cutoff is None else Switched(term, SWITCH_ON * self.cutoff, self.cutoff)
            groups.append(Pairs(first, second, (acting,)))
        return BodyPotential(tuple(groups), self.box, self.cutoff)

    def add_spring(self, potential: BodyPotential) -> BodyPotential:
        """The same potential with the spring between all pairs of bodies, where there is one."""
        if self.spring is None:
            return potential
        groups = (*potential.groups, pair_all(len(self.bodies), self.spring))
        return dataclasses.replace(potential, groups=groups, cutoff=None)

    def to_plain(self) -> dict[str, typing.Any]:
        """What JSON can hold."""
        return {
            "kinds": [
                {
                    "name": body.name,
                    "sites": body.sites.tolist(),
                    "masses": body.masses.tolist(),
                    "labels": list(body.labels),
                }
                for body in self.kinds
            ],
            "bodies": [body.name for body in self.bodies],
            "site_terms": [dataclasses.asdict(term) for term in self.site_terms],
            "spring": None if self.spring is None else dataclasses.asdict(self.spring),
            "box": self.box,
            "cutoff": self.cutoff,
            "units": self.units,
        }


def read_system(plain: dict[str, typing.Any]) -> BodySystem:
    """What :meth:`BodySystem.to_plain` gave.

    Raises:
        KeyError, TypeError: something is missing or misplaced.
    """
    kinds = {
        kind["name"]: Body(kind["name"], numpy.array(kind["sites"]), numpy.array(kind["masses"]), tuple(kind["labels"]))
        for kind in plain["kinds"]
    }
    return BodySystem(
        tuple(kinds[name] for name in plain["bodies"]),
        tuple(SiteTerm(**term) for term in plain["site_terms"]),
        None if plain["spring"] is None else Spring(**plain["spring"]),
        plain["box"],
        plain["cutoff"],
        plain["units"],
    )

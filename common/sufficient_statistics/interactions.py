"""The interactions of many molecules laid end to end, so that one tensor operation runs over all of them.

Everything that does not change during a fit is worked out once for each molecule: which atoms an interaction joins,
the reference minimum, periodicity and phase, the strength of each non-bonded pair, and the feature
(common/sufficient_statistics/linearization.py) that it feeds, counted among the features of this molecule.
"""

import collections.abc
import dataclasses

import numpy
import torch

from common.forcefields.energy import find_scaled_pairs, mix_lorentz_berthelot
from common.forcefields.tensors import TensorForceField, TensorTopology
from common.forcefields.terms import N_PARTICLES
from common.sufficient_statistics.linearization import MINIMUM_COLUMNS, Linearization
from common.units import COULOMB_CONSTANT


@dataclasses.dataclass(frozen=True)
class InteractionTable:
    """Interactions of one kind, those of molecule i in the rows ``starts[i]`` to ``starts[i] + counts[i]``.

    Attributes:
        counts, starts: ``shape=(n_molecules,)`` int64.
        values: by name, ``shape=(n_interactions,)`` each, but ``particle_idxs`` ``(n_particles, n_interactions)``,
            which count the atoms of their molecule from 0.
    """

    counts: torch.Tensor
    starts: torch.Tensor
    values: dict[str, torch.Tensor]

    def expand(self, molecule_idxs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The interactions of a list of frames, each a conformer of a molecule.

        Args:
            molecule_idxs: the molecule of each frame, ``shape=(n_frames,)``.

        Returns:
            The row of this table and the frame of every interaction, both ``shape=(n,)``.
        """
        counts = self.counts[molecule_idxs]
        frames = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
        # the i-th of all interactions is the (i - first)-th of its frame, in row starts + i - first of the table
        first = torch.cumsum(counts, 0) - counts
        shifts = self.starts[molecule_idxs] - first
        return shifts.index_select(0, frames).add_(torch.arange(len(frames), device=counts.device)), frames


@dataclasses.dataclass(frozen=True)
class Interactions:
    """All interactions of a list of molecules.

    Attributes:
        harmonic: by type, Bonds and Angles; values ``particle_idxs``, ``minimum`` (q̄), ``feature`` (of a; b follows).
        dihedrals: the different dihedrals of propers and impropers; values ``particle_idxs``.
        torsions: their terms; values ``dihedral`` (counted in the molecule), ``periodicity``, ``phase``,
            ``inverse_idivf``, ``feature``.
        pairs: non-bonded pairs; values ``particle_idxs``, ``coulomb`` [kcal/mol Angstrom], ``lj_strength`` (4ε times
            the pair's scale; 0 where the pair is in φ), ``lj_sigma`` (mixed).
        trained_pairs: those in φ; values ``particle_idxs``, ``lj_scale``, ``lj_sigma``, ``feature`` (of A; B follows).
        features: for each molecule the features it uses, ascending.
        n_atoms: for each molecule.
    """

    harmonic: dict[str, InteractionTable]
    dihedrals: InteractionTable
    torsions: InteractionTable
    pairs: InteractionTable
    trained_pairs: InteractionTable
    features: list[numpy.ndarray]
    n_atoms: list[int]


def build_interactions(
    topologies: collections.abc.Sequence[TensorTopology],
    linearization: Linearization,
    device: str | torch.device = "cpu",
) -> Interactions:
    """Lays out the interactions of molecules for the force field that ``linearization`` refers to."""
    builder = _Builder(linearization)
    per_molecule = [builder.build(topology) for topology in topologies]
    tables = {name: _concatenate([tables[name] for tables, _ in per_molecule], device) for name in builder.names}
    return Interactions(
        harmonic={type_: tables[type_] for type_ in MINIMUM_COLUMNS},
        dihedrals=tables["dihedrals"],
        torsions=tables["torsions"],
        pairs=tables["pairs"],
        trained_pairs=tables["trained_pairs"],
        features=[features for _, features in per_molecule],
        n_atoms=[topology.n_atoms for topology in topologies],
    )


def _concatenate(tables: list[dict[str, numpy.ndarray]], device: str | torch.device) -> InteractionTable:
    counts = numpy.array([next(iter(table.values())).shape[-1] for table in tables], dtype=numpy.int64)
    values = {
        name: torch.from_numpy(numpy.concatenate([table[name] for table in tables], axis=-1)).to(device)
        for name in tables[0]
    }
    return InteractionTable(
        torch.from_numpy(counts).to(device), torch.from_numpy(numpy.cumsum(counts) - counts).to(device), values
    )


class _Builder:
    """Works out the tables of one molecule after another; holds what depends on the force field alone."""

    names = (*MINIMUM_COLUMNS, "dihedrals", "torsions", "pairs", "trained_pairs")

    def __init__(self, linearization: Linearization):
        force_field: TensorForceField = linearization.reference
        self.potentials = force_field.potentials_by_type
        self.starts = linearization.starts
        self.values = {
            type_: {name: potential.column(name).numpy() for name in potential.parameter_cols}
            for type_, potential in self.potentials.items()
        }
        self.n_types = len(self.potentials["vdW"].parameters) if "vdW" in self.potentials else 0
        pairs = linearization.vdw_pairs.numpy()
        # one number for each pair of types; ascending, as Linearization's pairs are, so that it can be searched in
        self.pair_keys = pairs[:, 0] * self.n_types + pairs[:, 1]

    def build(self, topology: TensorTopology) -> tuple[dict[str, dict[str, numpy.ndarray]], numpy.ndarray]:
        """The tables of one molecule by name, and the features that it uses."""
        tables = {type_: self._build_harmonic(topology, type_) for type_ in MINIMUM_COLUMNS}
        tables["dihedrals"], tables["torsions"] = self._build_torsions(topology)
        tables["pairs"], tables["trained_pairs"] = self._build_pairs(topology)
        # bonds, angles and trained pairs have two features each, which follow one another
        doubled = numpy.concatenate([tables[name]["feature"] for name in (*MINIMUM_COLUMNS, "trained_pairs")])
        used = numpy.unique(numpy.concatenate([doubled, doubled + 1, tables["torsions"]["feature"]]))
        for name in (*MINIMUM_COLUMNS, "torsions", "trained_pairs"):
            tables[name]["feature"] = numpy.searchsorted(used, tables[name]["feature"])
        return tables, used

    def _read_map(self, topology: TensorTopology, type_: str, n_particles: int) -> tuple[numpy.ndarray, numpy.ndarray]:
        if type_ not in self.potentials or type_ not in topology.parameters:
            return numpy.zeros((0, n_particles), dtype=numpy.int64), numpy.zeros(0, dtype=numpy.int64)
        map_ = topology.get_valence_map(type_)
        return map_.particle_idxs.numpy().reshape(-1, n_particles), map_.parameter_idxs.numpy()

    def _gather(self, type_: str, name: str, rows: numpy.ndarray) -> numpy.ndarray:
        return self.values[type_][name][rows] if len(rows) else numpy.zeros(0)

    def _build_harmonic(self, topology: TensorTopology, type_: str) -> dict[str, numpy.ndarray]:
        particle_idxs, rows = self._read_map(topology, type_, N_PARTICLES[type_])
        return {
            "particle_idxs": particle_idxs.T,
            "minimum": self._gather(type_, MINIMUM_COLUMNS[type_], rows),
            "feature": self.starts[type_] + 2 * rows,
        }

    def _build_torsions(self, topology: TensorTopology) -> tuple[dict[str, numpy.ndarray], dict[str, numpy.ndarray]]:
        types = ("ProperTorsions", "ImproperTorsions")
        maps = {type_: self._read_map(topology, type_, N_PARTICLES[type_]) for type_ in types}
        particle_idxs = numpy.concatenate([idxs for idxs, _ in maps.values()])
        # many terms share a dihedral, whose geometry is computed once: four atoms as one number, each number once
        key = numpy.ravel_multi_index(tuple(particle_idxs.T), (topology.n_atoms,) * 4)
        _, first, dihedral = numpy.unique(key, return_index=True, return_inverse=True)
        constants = {
            name: numpy.concatenate([self._gather(type_, name, rows) for type_, (_, rows) in maps.items()])
            for name in ("periodicity", "phase", "idivf")
        }
        return {"particle_idxs": particle_idxs[first].T}, {
            "dihedral": dihedral,
            "periodicity": constants["periodicity"],
            "phase": constants["phase"],
            "inverse_idivf": 1.0 / constants["idivf"],
            "feature": numpy.concatenate([self.starts[type_] + rows for type_, (_, rows) in maps.items()]),
        }

    def _build_pairs(self, topology: TensorTopology) -> tuple[dict[str, numpy.ndarray], dict[str, numpy.ndarray]]:
        n_atoms = topology.n_atoms
        scales = {}
        for type_ in ("vdW", "Electrostatics"):
            scales[type_] = numpy.zeros((n_atoms, n_atoms))
            if type_ in self.potentials and type_ in topology.parameters:
                pairs, factors = find_scaled_pairs(topology, self.potentials[type_])
                scales[type_][tuple(pairs.numpy().T)] = factors.numpy()
        i, j = numpy.nonzero((scales["vdW"] != 0.0) | (scales["Electrostatics"] != 0.0))
        scale = scales["vdW"][i, j]
        epsilon, sigma, feature = self._mix_types(topology, i, j, scale != 0.0)
        trained = feature >= 0
        return {
            "particle_idxs": numpy.stack((i, j)),
            "coulomb": COULOMB_CONSTANT * scales["Electrostatics"][i, j] * self._multiply_charges(topology, i, j),
            "lj_strength": numpy.where(trained, 0.0, 4.0 * scale * epsilon),
            "lj_sigma": sigma,
        }, {
            "particle_idxs": numpy.stack((i[trained], j[trained])),
            "lj_scale": scale[trained],
            "lj_sigma": sigma[trained],
            "feature": feature[trained],
        }

    def _multiply_charges(self, topology: TensorTopology, i: numpy.ndarray, j: numpy.ndarray) -> numpy.ndarray:
        if "Electrostatics" not in self.potentials or "Electrostatics" not in topology.parameters:
            return numpy.zeros(len(i))
        charge = self.values["Electrostatics"]["charge"][topology.parameters["Electrostatics"].parameter_idxs.numpy()]
        return charge[i] * charge[j]

    def _mix_types(
        self, topology: TensorTopology, i: numpy.ndarray, j: numpy.ndarray, is_scaled: numpy.ndarray
    ) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
        """ε and σ of pairs, and their feature, -1 where they have none."""
        if "vdW" not in self.potentials or "vdW" not in topology.parameters:
            return numpy.zeros(len(i)), numpy.ones(len(i)), numpy.full(len(i), -1)
        rows = topology.parameters["vdW"].parameter_idxs.numpy()
        s, t = numpy.minimum(rows[i], rows[j]), numpy.maximum(rows[i], rows[j])
        epsilon, sigma = (torch.from_numpy(self.values["vdW"][name]) for name in ("epsilon", "sigma"))
        mixed = mix_lorentz_berthelot(epsilon[s], sigma[s], epsilon[t], sigma[t])
        feature = numpy.full(len(i), -1)
        if len(self.pair_keys):
            place = numpy.searchsorted(self.pair_keys, s * self.n_types + t)
            feature = numpy.where(is_scaled, self.starts["vdW"] + 2 * place, -1)
        return mixed[0].numpy(), mixed[1].numpy(), feature


def find_vdw_pairs(topologies: collections.abc.Iterable[TensorTopology], force_field: TensorForceField) -> torch.Tensor:
    """The pairs of vdW types that interact in any of the molecules, ``shape=(n_pairs, 2)``, ascending."""
    potential = force_field.potentials_by_type["vdW"]
    found: set[tuple[int, int]] = set()
    for topology in topologies:
        pairs, _ = find_scaled_pairs(topology, potential)
        rows = topology.parameters["vdW"].parameter_idxs[pairs].sort(dim=-1).values
        found.update(map(tuple, torch.unique(rows, dim=0).tolist()))
    return torch.tensor(sorted(found), dtype=torch.int64).reshape(-1, 2)

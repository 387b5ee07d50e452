"""The interactions of many molecules laid end to end, so that one tensor operation runs over all of them.

Everything that does not change during a fit is worked out once for each molecule: which atoms an interaction joins,
the reference minimum, periodicity and phase, the strength of each non-bonded pair, and the feature
(common/sufficient_statistics/linearization.py) that it feeds, counted among the features of this molecule.
"""

import collections.abc
import dataclasses
import typing

import numpy
import torch

from common.forcefields.energy import find_scaled_pairs, mix_lorentz_berthelot
from common.forcefields.loop_evaluation import fill_scales
from common.forcefields.tensors import TensorForceField, TensorTopology, ValenceParameterMap
from common.forcefields.terms import N_PARTICLES
from common.geometry.loop_geometry import compile_loop
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
    n_features = linearization.n_features
    harmonic = {type_: _build_harmonic(topologies, type_, linearization) for type_ in MINIMUM_COLUMNS}
    dihedrals, torsions = _build_torsions(topologies, linearization)
    pairs, trained_pairs = _build_pairs(topologies, linearization)
    # bonds, angles and trained pairs have two features each, which follow one another
    doubled = (*harmonic.values(), trained_pairs)
    keys = [rows.molecules * n_features + rows.values["feature"] for rows in (*doubled, torsions)]
    used = numpy.unique(numpy.concatenate([*keys, *(one + 1 for one in keys[: len(doubled)])]))
    ends = numpy.searchsorted(used, n_features * numpy.arange(len(topologies) + 1))
    for rows, key in zip((*doubled, torsions), keys, strict=True):
        rows.values["feature"] = numpy.searchsorted(used, key) - ends[rows.molecules]
    return Interactions(
        harmonic={type_: _make_table(rows, len(topologies), device) for type_, rows in harmonic.items()},
        dihedrals=_make_table(dihedrals, len(topologies), device),
        torsions=_make_table(torsions, len(topologies), device),
        pairs=_make_table(pairs, len(topologies), device),
        trained_pairs=_make_table(trained_pairs, len(topologies), device),
        features=numpy.split(used % max(n_features, 1), ends[1:-1]) if topologies else [],
        n_atoms=[topology.n_atoms for topology in topologies],
    )


class _Rows(typing.NamedTuple):
    """Interactions of all molecules: ``molecules`` says whose, ascending; ``values`` as in ``InteractionTable``."""

    molecules: numpy.ndarray
    values: dict[str, numpy.ndarray]


def _make_table(rows: _Rows, n_molecules: int, device: str | torch.device) -> InteractionTable:
    counts = numpy.bincount(rows.molecules, minlength=n_molecules)
    values = {name: torch.from_numpy(numpy.ascontiguousarray(array)).to(device) for name, array in rows.values.items()}
    return InteractionTable(
        torch.from_numpy(counts).to(device), torch.from_numpy(numpy.cumsum(counts) - counts).to(device), values
    )


def _join(arrays: collections.abc.Sequence[torch.Tensor], *width: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """One array of all, and for each of its rows which one it comes from."""
    owners = numpy.repeat(numpy.arange(len(arrays)), [one.shape[0] for one in arrays])
    return owners, torch.cat([torch.zeros((0, *width), dtype=torch.int64), *arrays]).numpy()


def _read_columns(
    linearization: Linearization, type_: str, names: collections.abc.Iterable[str]
) -> list[numpy.ndarray]:
    potential = linearization.reference.potentials_by_type.get(type_)
    return [numpy.zeros(0) if potential is None else potential.column(name).numpy() for name in names]


def _join_maps(
    topologies: collections.abc.Sequence[TensorTopology], type_: str, linearization: Linearization
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Of all interactions of a valence type: the molecule, the atoms, ``shape=(n, n_particles)``, and the parameter."""
    nothing = torch.zeros(0, dtype=torch.int64)
    none = ValenceParameterMap(nothing.reshape(0, N_PARTICLES[type_]), nothing)
    is_there = type_ in linearization.reference.potentials_by_type
    maps = [one.get_valence_map(type_) if is_there and type_ in one.parameters else none for one in topologies]
    molecules, particle_idxs = _join([map_.particle_idxs for map_ in maps], N_PARTICLES[type_])
    return molecules, particle_idxs, _join([map_.parameter_idxs for map_ in maps])[1]


def _build_harmonic(
    topologies: collections.abc.Sequence[TensorTopology], type_: str, linearization: Linearization
) -> _Rows:
    molecules, particle_idxs, rows = _join_maps(topologies, type_, linearization)
    [minimum] = _read_columns(linearization, type_, [MINIMUM_COLUMNS[type_]])
    feature = linearization.starts[type_] + 2 * rows
    return _Rows(molecules, {"particle_idxs": particle_idxs.T, "minimum": minimum[rows], "feature": feature})


def _build_torsions(
    topologies: collections.abc.Sequence[TensorTopology], linearization: Linearization
) -> tuple[_Rows, _Rows]:
    """The different dihedrals, and the terms, those of a molecule's propers before those of its impropers."""
    names = ("periodicity", "phase", "idivf")
    parts = []
    for type_ in ("ProperTorsions", "ImproperTorsions"):
        owners, atoms, rows = _join_maps(topologies, type_, linearization)
        columns = [column[rows] for column in _read_columns(linearization, type_, names)]
        parts.append((owners, atoms, linearization.starts[type_] + rows, *columns))
    molecules, particle_idxs, feature, periodicity, phase, idivf = map(numpy.concatenate, zip(*parts, strict=True))
    order = numpy.argsort(molecules, kind="stable")
    molecules, particle_idxs = molecules[order], particle_idxs[order]
    # many terms share a dihedral, whose geometry is computed once: molecule and atoms as one number, each number once
    n = max((topology.n_atoms for topology in topologies), default=1)
    key = numpy.ravel_multi_index((molecules, *particle_idxs.T), (max(len(topologies), 1), n, n, n, n))
    _, first, which = numpy.unique(key, return_index=True, return_inverse=True)
    dihedrals = _Rows(molecules[first], {"particle_idxs": particle_idxs[first].T})
    starts = numpy.searchsorted(dihedrals.molecules, molecules)
    terms = {"periodicity": periodicity, "phase": phase, "inverse_idivf": 1.0 / idivf, "feature": feature}
    return dihedrals, _Rows(
        molecules, {"dihedral": which - starts, **{name: array[order] for name, array in terms.items()}}
    )


def _build_pairs(
    topologies: collections.abc.Sequence[TensorTopology], linearization: Linearization
) -> tuple[_Rows, _Rows]:
    """The non-bonded pairs, and those of them that are in φ."""
    n_atoms = numpy.array([topology.n_atoms for topology in topologies], dtype=numpy.int64)
    vdw, charges = (_join_nonbonded(topologies, type_, linearization) for type_ in ("vdW", "Electrostatics"))
    molecules, first, second, lj_scale, coulomb_scale = _find_pairs(n_atoms, *vdw[1:], *charges[1:])
    starts = (numpy.cumsum(n_atoms) - n_atoms)[molecules]
    [charge] = _read_columns(linearization, "Electrostatics", ["charge"])
    own = numpy.append(charge, 0.0)[charges[0]]
    coulomb = COULOMB_CONSTANT * coulomb_scale * own[starts + first] * own[starts + second]
    columns = [numpy.append(one, 1.0) for one in _read_columns(linearization, "vdW", ("epsilon", "sigma"))]
    n_types = len(columns[0])
    s, t = vdw[0][starts + first], vdw[0][starts + second]
    mixed = mix_lorentz_berthelot(*(torch.from_numpy(one[rows]) for rows in (s, t) for one in columns))
    epsilon, sigma = (one.numpy() for one in mixed)
    # one number for each pair of types; ascending, as Linearization's pairs are, so that it can be searched in
    pair_keys = linearization.vdw_pairs[:, 0].numpy() * n_types + linearization.vdw_pairs[:, 1].numpy()
    trained = (lj_scale != 0.0) & (len(pair_keys) > 0)
    place = numpy.searchsorted(pair_keys, numpy.minimum(s, t)[trained] * n_types + numpy.maximum(s, t)[trained])
    particle_idxs = numpy.stack((first, second))
    return _Rows(
        molecules,
        {
            "particle_idxs": particle_idxs,
            "coulomb": coulomb,
            "lj_strength": numpy.where(trained, 0.0, 4.0 * lj_scale * epsilon),
            "lj_sigma": sigma,
        },
    ), _Rows(
        molecules[trained],
        {
            "particle_idxs": particle_idxs[:, trained],
            "lj_scale": lj_scale[trained],
            "lj_sigma": sigma[trained],
            "feature": linearization.starts["vdW"] + 2 * place,
        },
    )


def _join_nonbonded(
    topologies: collections.abc.Sequence[TensorTopology], type_: str, linearization: Linearization
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """The parameter of each atom, -1 where it has none; for each molecule the factor of a pair that no exclusion names
    and where its exclusions end; the exclusions, ``shape=(n, 2)``, and the factor of each.
    """
    potential = linearization.reference.potentials_by_type.get(type_)
    rows, exclusions, scale_idxs, defaults = [], [], [], numpy.zeros(len(topologies))
    for i, topology in enumerate(topologies):
        if potential is None or type_ not in topology.parameters:
            rows.append(torch.full((topology.n_atoms,), -1))
            exclusions.append(torch.zeros((0, 2), dtype=torch.int64))
            continue
        map_ = topology.get_nonbonded_map(type_)
        rows.append(map_.parameter_idxs)
        exclusions.append(map_.exclusions)
        scale_idxs.append(map_.exclusion_scale_idxs)
        defaults[i] = potential.attribute("scale_15").item()
    owners, joined = _join(exclusions, 2)
    factors = numpy.zeros(0)
    if potential is not None and scale_idxs:
        factors = potential.get_scales(torch.cat(scale_idxs)).to(torch.float64).numpy()
    ends = numpy.searchsorted(owners, numpy.arange(len(topologies)), side="right")
    return _join(rows)[1], defaults, ends, joined, factors


@compile_loop()
def _find_pairs(n_atoms, default_1, ends_1, exclusions_1, factors_1, default_2, ends_2, exclusions_2, factors_2):
    """All pairs of atoms with a factor that is not 0, for either of two potentials: the molecule, both atoms, and the
    two factors.
    """
    n_pairs, widest = 0, 0
    for n in n_atoms:
        n_pairs += n * (n - 1) // 2
        widest = max(widest, n)
    idxs, scales = numpy.empty((3, n_pairs), numpy.int64), numpy.empty((2, n_pairs))
    matrices = numpy.empty((2, widest, widest))
    n_found, begin_1, begin_2 = 0, 0, 0
    for molecule in range(len(n_atoms)):
        n = n_atoms[molecule]
        end_1, end_2 = ends_1[molecule], ends_2[molecule]
        own_1, own_2 = exclusions_1[begin_1:end_1], exclusions_2[begin_2:end_2]
        fill_scales(matrices[0, :n, :n], default_1[molecule], own_1, factors_1[begin_1:end_1])
        fill_scales(matrices[1, :n, :n], default_2[molecule], own_2, factors_2[begin_2:end_2])
        begin_1, begin_2 = end_1, end_2
        for i in range(n):
            for j in range(i + 1, n):
                if matrices[0, i, j] != 0.0 or matrices[1, i, j] != 0.0:
                    idxs[0, n_found], idxs[1, n_found], idxs[2, n_found] = molecule, i, j
                    scales[0, n_found], scales[1, n_found] = matrices[0, i, j], matrices[1, i, j]
                    n_found += 1
    return idxs[0, :n_found], idxs[1, :n_found], idxs[2, :n_found], scales[0, :n_found], scales[1, :n_found]


def find_vdw_pairs(topologies: collections.abc.Iterable[TensorTopology], force_field: TensorForceField) -> torch.Tensor:
    """The pairs of vdW types that interact in any of the molecules, ``shape=(n_pairs, 2)``, ascending."""
    potential = force_field.potentials_by_type["vdW"]
    found: set[tuple[int, int]] = set()
    for topology in topologies:
        pairs, _ = find_scaled_pairs(topology, potential)
        rows = topology.parameters["vdW"].parameter_idxs[pairs].sort(dim=-1).values
        found.update(map(tuple, torch.unique(rows, dim=0).tolist()))
    return torch.tensor(sorted(found), dtype=torch.int64).reshape(-1, 2)

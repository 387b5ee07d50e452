"""What relaxing entries gave, as records: plain values that JSON and tables can hold.

Energies are in kcal/mol, lengths in Angstrom, angles in degree.
"""

import dataclasses
import typing

Interval = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where an entry comes from.

    Attributes:
        source, row: data set, and place in it.
        entry: its name in the archive, "" if unknown.
        smiles: fully mapped.
        molecule: its connectivity key.
        split: which it belongs to.
    """

    source: str
    row: int
    entry: str
    smiles: str
    molecule: str
    split: str


@dataclasses.dataclass(frozen=True)
class Failure:
    """A geometry that a force field did not bring to a minimum: which conformer of the entry, and why."""

    conformer: int
    candidate: str
    reason: str


@dataclasses.dataclass(frozen=True)
class RelaxedScan:
    """A torsion scan, relaxed by each candidate with the dihedral held at its quantum value.

    Attributes:
        origin: of the entry.
        atoms: of the dihedral, counted from 0.
        angles: of the points that all candidates relaxed, ascending.
        reference: quantum energies there, the lowest 0.
        energies: by candidate, relative to the point of the lowest quantum energy.
        closed: whether the scan goes all the way round.
        failures: what was not relaxed.
    """

    origin: Origin
    atoms: tuple[int, ...]
    angles: list[float]
    reference: list[float]
    energies: dict[str, list[float]]
    closed: bool
    failures: list[Failure]


@dataclasses.dataclass(frozen=True)
class ParameterDeviation:
    """How the internal coordinates of a parameter changed, in one entry: their number, sum, and sum of squares."""

    type: str
    smirks: str
    n: int
    total: float
    squares: float


@dataclasses.dataclass(frozen=True)
class RelaxedMinima:
    """Quantum minima of an entry, minimised by each candidate.

    Attributes:
        origin: of the entry.
        conformers: which were minima and reached one under all candidates.
        reference: their quantum energies, the lowest 0; empty where there are none.
        energies: by candidate, relative to the conformer of the lowest quantum energy.
        rmsd_heavy, rmsd_all: by candidate, of each conformer from the quantum minimum, without and with hydrogens.
        tfd: torsion fingerprint deviations likewise, 0 to 1; empty where no bond turns.
        parameters: by candidate, the changes of bonds, angles and impropers.
        failures: what was not relaxed.
    """

    origin: Origin
    conformers: list[int]
    reference: list[float]
    energies: dict[str, list[float]]
    rmsd_heavy: dict[str, list[float]]
    rmsd_all: dict[str, list[float]]
    tfd: dict[str, list[float]]
    parameters: dict[str, list[ParameterDeviation]]
    failures: list[Failure]


@dataclasses.dataclass(frozen=True)
class Measure:
    """A mean, or root mean square, over entries with its interval; None where there is nothing, or too little."""

    value: float | None
    interval: Interval | None


@dataclasses.dataclass(frozen=True)
class RelaxedGroup:
    """The measures of a split ("all" for any).

    Attributes:
        split: which.
        kind: "scans" or "minima".
        n_entries, n_molecules, n_geometries: of those that count: relaxed by all candidates.
        n_not_relaxed: by candidate.
        measures: by candidate and name of the measure.
        changes: by candidate and name, relative to the first candidate, in pairs: -0.2 is a fifth less.
    """

    split: str
    kind: str
    n_entries: int
    n_molecules: int
    n_geometries: int
    n_not_relaxed: dict[str, int]
    measures: dict[str, dict[str, Measure]]
    changes: dict[str, dict[str, Measure]]

    def list_rows(self) -> list[dict[str, typing.Any]]:
        """One row of a table for each candidate and measure."""
        counts = {name: getattr(self, name) for name in ("split", "kind", "n_entries", "n_molecules", "n_geometries")}
        rows = []
        for candidate, own in self.measures.items():
            for name, measure in own.items():
                change = self.changes.get(candidate, {}).get(name, Measure(None, None))
                low, high = measure.interval or (None, None)
                change_low, change_high = change.interval or (None, None)
                rows.append(
                    {
                        **counts,
                        "candidate": candidate,
                        "n_not_relaxed": self.n_not_relaxed[candidate],
                        "measure": name,
                        "value": measure.value,
                        "low": low,
                        "high": high,
                        "change": change.value,
                        "change_low": change_low,
                        "change_high": change_high,
                    }
                )
        return rows


@dataclasses.dataclass(frozen=True)
class ParameterGeometry:
    """How the internal coordinates of a parameter differ at minima from the quantum ones, by candidate.

    Attributes:
        type, smirks: which parameter.
        n_molecules, n_coordinates: that have it, and how many of them.
        mean: of force field less quantum [Angstrom or degree].
        rms: of the same.
    """

    type: str
    smirks: str
    n_molecules: int
    n_coordinates: int
    mean: dict[str, float]
    rms: dict[str, float]

    def to_row(self) -> dict[str, typing.Any]:
        """One plain value for each candidate."""
        row: dict[str, typing.Any] = {name: getattr(self, name) for name in ("type", "smirks")}
        row |= {"n_molecules": self.n_molecules, "n_coordinates": self.n_coordinates}
        for candidate in self.mean:
            row |= {f"mean {candidate}": self.mean[candidate], f"rms {candidate}": self.rms[candidate]}
        return row


@dataclasses.dataclass(frozen=True)
class RelaxedBenchmark:
    """All that relaxing gave.

    Attributes:
        candidates: the force fields.
        max_force: [kcal/mol/Angstrom] that was asked of a minimum.
        minimum_force: [kcal/mol/Angstrom] the root mean square force below which a conformer is a quantum minimum.
        n_scans, n_minima: entries with scans, and with minima, that were relaxed.
        groups: the measures by split.
        parameters: the geometry by parameter, of all splits, the largest error of the last candidate first.
        scans: the scans.
        failures: by "source, row, smiles", what was not relaxed.
    """

    candidates: list[str]
    max_force: float
    minimum_force: float
    n_scans: int
    n_minima: int
    groups: list[RelaxedGroup]
    parameters: list[ParameterGeometry]
    scans: list[RelaxedScan]
    failures: dict[str, list[Failure]]

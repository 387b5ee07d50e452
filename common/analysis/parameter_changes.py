"""What a fit changed: every trained value before and after, and which molecules feel it."""

import collections.abc
import csv
import dataclasses
import math
import pathlib
import typing

from common.files.artifacts import ArtifactError
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.smirnoff.offxml import read_ids

DISPLAY_UNITS = {
    "radian": ("degree", 180.0 / math.pi),
    "angstrom": ("Å", 1.0),
    "kilocalorie / mole": ("kcal/mol", 1.0),
    "kilocalorie / mole / angstrom ** 2": ("kcal/mol/Å²", 1.0),
    "kilocalorie / mole / radian ** 2": ("kcal/mol/rad²", 1.0),
    "elementary_charge": ("e", 1.0),
}
"""Units in which people read a value, and the factor to them."""

_TRUTH = {"yes": True, "no": False, "": None}

ParameterName = tuple[str, str, int | None, str]
"""Type, SMIRKS, term (as in ``ParameterKey.mult``) and column."""


class Details(typing.NamedTuple):
    """What the curvature of the loss says of one fitted value; None where it is not known."""

    standard_error: float | None = None
    n_molecules: int | None = None
    is_determined: bool | None = None
    is_at_limit: bool = False
    correlated_with: str = ""


@dataclasses.dataclass(frozen=True)
class Change:
    """One value that a fit may have changed.

    Attributes:
        type, smirks, id, mult, column: which one; ``mult`` counts the terms of a torsion from 1, else None.
        periodicity: of a torsion's term, else None.
        unit: of the values.
        initial, fitted: its values.
        standard_error: of the fitted value, None where unknown, or where a limit holds it.
        n_molecules: how many training molecules feel it, None where unknown.
        is_determined: whether the data determine it, None where unknown.
        is_at_limit: whether the value stands at the limit of what is allowed.
        correlated_with: the value that the data tell it apart from least, "" where unknown.
    """

    type: str
    smirks: str
    id: str
    mult: int | None
    periodicity: int | None
    column: str
    unit: str
    initial: float
    fitted: float
    standard_error: float | None = None
    n_molecules: int | None = None
    is_determined: bool | None = None
    is_at_limit: bool = False
    correlated_with: str = ""

    @property
    def change(self) -> float:
        return self.fitted - self.initial

    @property
    def group(self) -> str:
        """Values of one group may be compared: same type, column and unit."""
        return f"{self.type} {self.column}"

    def to_plain(self) -> dict[str, typing.Any]:
        """All of it, with the change and the label, as JSON and tables want it."""
        return {**dataclasses.asdict(self), "change": self.change, "label": self.label}

    @property
    def label(self) -> str:
        """A short name: the id, or the SMIRKS where there is none; for a torsion, with the term's periodicity."""
        return (self.id or self.smirks) + (f" (n = {self.periodicity})" if self.periodicity is not None else "")


def list_changes(
    trained: collections.abc.Mapping[str, collections.abc.Iterable[str]],
    initial: TensorForceField,
    fitted: ParameterizedMolecules,
    details: collections.abc.Mapping[ParameterName, Details],
) -> list[Change]:
    """All trained values before and after.

    Args:
        trained: the trained columns of each type.
        initial, fitted: the force field before and after.
        details: what :func:`read_details` gives.
    """
    ids = read_ids(fitted.provenance["offxml"])
    changes = []
    for type_, columns in trained.items():
        after = fitted.force_field.potentials_by_type.get(type_)
        if after is None:
            continue
        before = initial.potentials_by_type[type_]
        is_torsion = "periodicity" in after.parameter_cols
        for row, key in enumerate(after.parameter_keys):
            for column in columns:
                unit = after.parameter_units[after.parameter_cols.index(column)]
                display, factor = DISPLAY_UNITS.get(unit, (unit, 1.0))
                mult = None if key.mult is None else key.mult + 1
                known = details.get((type_, key.id, key.mult, column), Details())
                error = None if known.is_at_limit else known.standard_error
                changes.append(
                    Change(
                        type=type_,
                        smirks=key.id,
                        id=ids.get((type_, key.id), ""),
                        mult=mult,
                        periodicity=int(after.column("periodicity")[row]) if is_torsion else None,
                        column=column,
                        unit=display,
                        initial=before.column(column)[row].item() * factor,
                        fitted=after.column(column)[row].item() * factor,
                        standard_error=None if error is None else error * factor,
                        n_molecules=known.n_molecules,
                        is_determined=known.is_determined,
                        is_at_limit=known.is_at_limit,
                        correlated_with=known.correlated_with,
                    )
                )
    return changes


def read_details(path: pathlib.Path) -> dict[ParameterName, Details]:
    """What the ``parameters.csv`` of a run says; empty where the run has none.

    Raises:
        ArtifactError: the file is damaged.
    """
    if not path.is_file():
        return {}
    try:
        with path.open(newline="") as file:
            return {
                (
                    record["type"],
                    record["smirks"],
                    int(record["mult"]) if record["mult"] else None,
                    record["column"],
                ): Details(
                    float(record["standard_error"]) if record["standard_error"] else None,
                    int(record["n_molecules"]) if record["n_molecules"] else None,
                    _TRUTH[record["determined"]],
                    record["at_limit"] == "yes",
                    record["correlated_with"],
                )
                for record in csv.DictReader(file)
            }
    except (KeyError, ValueError) as error:
        raise ArtifactError(f"{path}: damaged ({error!r})", "run") from error


def rank_changes(changes: collections.abc.Sequence[Change]) -> dict[str, list[Change]]:
    """The values that moved, by group, those that moved most first; without those that the data do not determine."""
    groups: dict[str, list[Change]] = {}
    for change in changes:
        if change.change != 0.0 and change.is_determined is not False:
            groups.setdefault(change.group, []).append(change)
    return {name: sorted(group, key=lambda change: -abs(change.change)) for name, group in groups.items()}


def find_usage(
    molecules: ParameterizedMolecules, smiles: collections.abc.Iterable[str]
) -> dict[str, set[tuple[str, str]]]:
    """By mapped SMILES, the (type, SMIRKS) that the molecule uses; charges aside."""
    potentials = [p for p in molecules.force_field.potentials if p.type != "Electrostatics"]
    usage: dict[str, set[tuple[str, str]]] = {}
    for one in smiles:
        maps = molecules.topologies[one].parameters
        usage[one] = {
            (potential.type, potential.parameter_keys[row].id)
            for potential in potentials
            if potential.type in maps
            for row in maps[potential.type].parameter_idxs.tolist()
        }
    return usage

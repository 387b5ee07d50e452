"""Which generated molecules a force field can parameterise, and which patterns it lacks for the others."""

import dataclasses
import re
from collections.abc import Sequence

from rdkit import Chem

from common.generation.assessment import Rate
from common.molecules.mapped_smiles import from_mapped_smiles
from common.smirnoff.offxml import ForceFieldFile
from common.smirnoff.parameterize import count_reasons, parameterize

_ATOMS = re.compile(r"\((\d+)\)")


@dataclasses.dataclass(frozen=True)
class Missing:
    """Something that a force field has no parameter for.

    Attributes:
        reason: what the parameterisation says, atom numbers aside.
        count: molecules that fail for it.
        example: the SMILES of one.
        environment: the atoms of the example that have no parameter, with their neighbours, as SMILES; "" where the
            reason names none.
    """

    reason: str
    count: int
    example: str
    environment: str


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How far a force field reaches.

    Attributes:
        force_field: its name.
        rate: molecules that it can parameterise.
        missing: why not the others, the most frequent reason first.
    """

    force_field: str
    rate: Rate
    missing: tuple[Missing, ...]


def find_coverage(force_field: ForceFieldFile, mapped_smiles: Sequence[str], n_workers: int) -> Coverage:
    """Applies a force field to molecules.

    Args:
        force_field: as ``common.smirnoff.offxml.read_force_field`` gives it.
        mapped_smiles: each once.
        n_workers: processes.
    """
    done = parameterize(force_field, mapped_smiles, n_workers)
    missing = []
    for reason, count, example in count_reasons(done.failures):
        environment = _find_environment(example, done.failures[example])
        plain = Chem.MolToSmiles(Chem.RemoveHs(from_mapped_smiles(example)))
        missing.append(Missing(reason, count, plain, environment))
    missing.sort(key=lambda one: -one.count)
    return Coverage(force_field.name, Rate(len(done.topologies), len(mapped_smiles)), tuple(missing))


def _find_environment(mapped_smiles: str, reason: str) -> str:
    """The atoms that a reason names, as text such as ``C2(3)``, and their neighbours."""
    mol = from_mapped_smiles(mapped_smiles)
    named = [int(number) for number in _ATOMS.findall(reason)]
    named = [number for number in named if number < mol.GetNumAtoms()]
    if not named:
        return ""
    around = {neighbor.GetIdx() for atom in named for neighbor in mol.GetAtomWithIdx(atom).GetNeighbors()}
    return Chem.MolFragmentToSmiles(mol, sorted({*named, *around}))

"""SMILES as people keep them: plain or mapped, one a line with or without a name, or as a JSON list."""

import json
import re

from rdkit import Chem, rdBase

from common.molecules.mapped_smiles import from_smiles, to_mapped_smiles

_MAP_NUMBER = re.compile(r":\d+\]")


def parse_smiles_list(text: str) -> list[str]:
    """The SMILES of a text, each once: a JSON list, or one a line, each followed by a name or not.

    Raises:
        ValueError: it is no such list.
    """
    if re.match(r'\s*\[\s*["\]]', text):
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"damaged JSON ({error})") from error
    else:
        lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
        values = [words[0] for words in lines if words]
    if not values or not all(isinstance(value, str) for value in values):
        raise ValueError("expected SMILES, as a JSON list or one a line, each with a name or not")
    return list(dict.fromkeys(values))


def complete_smiles(smiles: str) -> str:
    """The SMILES with hydrogens and map numbers, those of its own atoms in its order; a mapped one as it is.

    What RDKit cannot read stays as it is: who uses it says so.
    """
    if _MAP_NUMBER.search(smiles):
        return smiles
    try:
        return to_mapped_smiles(from_smiles(smiles))
    except ValueError:
        return smiles


def count_atoms(smiles: str) -> int:
    """The number of atoms, hydrogens included, in little time; 0 where RDKit cannot read the SMILES.

    Args:
        smiles: fully mapped, or plain.
    """
    mapped = len(_MAP_NUMBER.findall(smiles))
    if mapped:
        return mapped
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    return 0 if mol is None else int(mol.GetNumAtoms(onlyExplicit=False))

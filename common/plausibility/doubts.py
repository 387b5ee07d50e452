"""What can be wrong with an entry, by name."""

import typing


class Doubt(typing.NamedTuple):
    """A suspicion.

    Attributes:
        kind: one of ``KINDS``.
        text: what was seen, with figures.
    """

    kind: str
    text: str


KINDS = {
    "bohr": "these coordinates look like bohr; they are taken as Angstrom",
    "length unit": "these coordinates look like another unit than Angstrom",
    "order": "these coordinates look like another order of the atoms, or another molecule, than the SMILES says",
    "gradients": "these forces look like gradients: their sign is wrong",
    "kJ/mol": "these energies and forces look like kJ/mol; they are taken as kcal/mol",
    "force unit": "these forces look like another unit than kcal/mol/Angstrom",
    "energy unit": "these energies look like another unit than the forces'",
    "unrelated": "these forces do not belong to these energies",
    "orientation": "these forces belong to another orientation, or another order of the atoms, than the coordinates",
    "absurd forces": "these forces are too large for a molecule",
    "single precision": "these energies have been through single precision (float32): their digits are gone",
    "duplicates": "conformers occur twice",
}
"""What each kind means, as the console says it."""

HARMLESS = ("duplicates",)
"""Kinds that are worth a line and no reason to stop."""

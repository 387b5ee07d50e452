"""Where a SMIRNOFF force field takes the charges of a molecule from.

Library charges come first, where they cover the whole molecule. Of the other sections only one is asked, in the order
of openff-interchange 0.4: NAGLCharges, ChargeIncrementModel, ToolkitAM1BCC. AM1-BCC charges are computed by the NAGL
graph network that was trained on them, and the provenance says so.
"""

import dataclasses

import numpy
from rdkit import Chem

from common.nagl.model import DEFAULT_MODEL
from common.smirnoff.offxml import ForceFieldError, ForceFieldFile
from common.smirnoff.smirks import compile_smirks

AM1_BCC_METHODS = ("am1bcc", "am1bccelf10", "am1bccnosymspt")

MAX_CHARGE_ERROR = 0.01
"""[e] by how much the charges of a molecule may miss its formal charge, as in openff-interchange."""


@dataclasses.dataclass(frozen=True)
class ChargeMethod:
    """How charges are made where library charges do not cover a molecule.

    Attributes:
        section: of the force field that asks for them.
        method: "model", "formal_charge" or "zeros".
        model: the NAGL model's file, "" for the other methods.
        model_sha256: what the force field says its hash must be, "" if it does not.
        asked_for: the method as the force field names it.
    """

    section: str
    method: str
    model: str
    model_sha256: str
    asked_for: str

    def describe(self) -> str:
        """The method in a few words."""
        if self.method != "model":
            return f"{self.method} ({self.section})"
        stands_in = self.asked_for.lower() in AM1_BCC_METHODS
        return f"{self.model} ({self.section}{f', in place of {self.asked_for}' if stands_in else ''})"


def choose_charge_method(force_field: ForceFieldFile) -> ChargeMethod | None:
    """The charge method of a force field; None if it has library charges at most.

    Raises:
        ForceFieldError: the method is not supported, or the section is incomplete.
    """
    if "NAGLCharges" in force_field.sections:
        attributes = force_field.sections["NAGLCharges"].attributes
        if "model_file" not in attributes:
            raise ForceFieldError(f"{force_field.name}: NAGLCharges: attribute 'model_file' is missing")
        model = attributes["model_file"]
        return ChargeMethod("NAGLCharges", "model", model, attributes.get("model_file_hash", ""), model)
    if "ChargeIncrementModel" in force_field.sections:
        attributes = force_field.sections["ChargeIncrementModel"].attributes
        return _interpret_method(attributes.get("partial_charge_method", "AM1-Mulliken"), force_field.name)
    if "ToolkitAM1BCC" in force_field.sections:
        return ChargeMethod("ToolkitAM1BCC", "model", DEFAULT_MODEL, "", "AM1BCC")
    return None


def _interpret_method(name: str, force_field_name: str) -> ChargeMethod:
    section = "ChargeIncrementModel"
    if name.lower() in ("formal_charge", "zeros"):
        return ChargeMethod(section, name.lower(), "", "", name)
    if name.lower() in AM1_BCC_METHODS:
        return ChargeMethod(section, "model", DEFAULT_MODEL, "", name)
    if name.endswith(".pt"):
        return ChargeMethod(section, "model", name, "", name)
    raise ForceFieldError(
        f"{force_field_name}: {section}: partial_charge_method={name!r} is not supported, only 'formal_charge', "
        f"'zeros', 'am1bcc' and NAGL models"
    )


def describe_charges(force_field: ForceFieldFile) -> str:
    """One line, for the console and the provenance, that says where charges come from."""
    if "Electrostatics" not in force_field.sections:
        return "none (no Electrostatics section)"
    method = choose_charge_method(force_field)
    library = ["LibraryCharges"] if "LibraryCharges" in force_field.sections else []
    return ", then ".join(library + ([method.describe()] if method else [])) or "none"


def compute_increments(mol: Chem.Mol, force_field: ForceFieldFile) -> numpy.ndarray:
    """The charge increments of a molecule, summed over all groups of atoms that a pattern matches.

    Of the patterns that match the same group of atoms, the last one counts.

    Returns:
        [e] ``shape=(n_atoms,)``.
    """
    groups = {}
    for parameter in force_field.sections["ChargeIncrementModel"].parameters:
        for match in compile_smirks(parameter.smirks).find_matches(mol):
            groups[frozenset(match)] = (match, parameter.values)
    increments = numpy.zeros(mol.GetNumAtoms())
    for match, values in groups.values():
        increments[list(match)] += numpy.array(values)[:, 0]
    return increments


def check_total_charge(mol: Chem.Mol, charges: numpy.ndarray) -> None:
    """Checks that charges add up to the formal charge of the molecule.

    Raises:
        ValueError: they do not.
    """
    formal_charge = Chem.GetFormalCharge(mol)
    if not abs(charges.sum() - formal_charge) <= MAX_CHARGE_ERROR:
        raise ValueError(f"its charges add up to {charges.sum():.3f} e, its formal charge is {formal_charge} e")

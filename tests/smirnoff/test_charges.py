"""Which section gives charges, charge increments, and the total charge."""

import numpy
import pytest

from common.molecules.mapped_smiles import from_mapped_smiles
from common.nagl.model import DEFAULT_MODEL
from common.smirnoff.charges import check_total_charge, choose_charge_method, compute_increments, describe_charges
from common.smirnoff.offxml import ForceFieldError, parse_force_field

NAGL = '<NAGLCharges version="0.3" model_file="other.pt"/>'
INCREMENTS = '<ChargeIncrementModel version="0.3" partial_charge_method="formal_charge"/>'
AM1BCC = '<ToolkitAM1BCC version="0.3"/>'
METHANOL = from_mapped_smiles("[C:1]([O:2][H:6])([H:3])([H:4])[H:5]")


def read(sections: str):
    text = f'<SMIRNOFF version="0.3" aromaticity_model="OEAroModel_MDL">{sections}</SMIRNOFF>'
    return parse_force_field(text, "test.offxml")


@pytest.mark.parametrize(
    ("sections", "section", "method", "model"),
    [
        (AM1BCC + INCREMENTS + NAGL, "NAGLCharges", "model", "other.pt"),
        (AM1BCC + INCREMENTS, "ChargeIncrementModel", "formal_charge", ""),
        (AM1BCC, "ToolkitAM1BCC", "model", DEFAULT_MODEL),
        (INCREMENTS.replace("formal_charge", "Zeros"), "ChargeIncrementModel", "zeros", ""),
        (INCREMENTS.replace("formal_charge", "AM1BCCELF10"), "ChargeIncrementModel", "model", DEFAULT_MODEL),
        (INCREMENTS.replace("formal_charge", "mine.pt"), "ChargeIncrementModel", "model", "mine.pt"),
    ],
)
def test_precedence_is_that_of_interchange(sections, section, method, model):
    chosen = choose_charge_method(read(sections))
    assert (chosen.section, chosen.method, chosen.model) == (section, method, model)


def test_no_charge_model():
    assert choose_charge_method(read('<LibraryCharges version="0.3"/>')) is None


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        (NAGL.replace("model_file", "model"), "'model_file' is missing"),
        (INCREMENTS.replace("formal_charge", "gasteiger"), "partial_charge_method='gasteiger' is not supported"),
        ('<ChargeIncrementModel version="0.3"/>', "partial_charge_method='AM1-Mulliken' is not supported"),
    ],
)
def test_refuses(sections, reason):
    with pytest.raises(ForceFieldError, match=reason):
        choose_charge_method(read(sections))


def test_says_that_the_model_stands_in_for_am1_bcc():
    electrostatics = '<Electrostatics version="0.4"/><LibraryCharges version="0.3"/>'
    assert describe_charges(read(electrostatics + AM1BCC)) == (
        f"LibraryCharges, then {DEFAULT_MODEL} (ToolkitAM1BCC, in place of AM1BCC)"
    )
    assert describe_charges(read(electrostatics + NAGL)) == "LibraryCharges, then other.pt (NAGLCharges)"
    assert describe_charges(read(AM1BCC)) == "none (no Electrostatics section)"


def increment(smirks: str, *values: float) -> str:
    attributes = " ".join(f'charge_increment{i + 1}="{v} * elementary_charge"' for i, v in enumerate(values))
    return f'<ChargeIncrement smirks="{smirks}" {attributes}/>'


def test_increments_add_up_and_the_last_tag_balances():
    patterns = (
        increment("[#6:1]-[#8:2]", 0.2) + increment("[#8:1]-[#1:2]", -0.4, 0.4) + increment("[#6:1]-[#1:2]", -0.1)
    )
    force_field = read(INCREMENTS.replace("/>", f">{patterns}</ChargeIncrementModel>"))
    expected = [0.2 - 0.3, -0.2 - 0.4, 0.1, 0.1, 0.1, 0.4]
    numpy.testing.assert_allclose(compute_increments(METHANOL, force_field), expected, rtol=1e-14)


def test_of_increments_for_the_same_atoms_the_last_counts_whatever_their_order():
    patterns = increment("[#6:1]-[#8:2]", 0.2, -0.2) + increment("[#8:1]-[#6X4:2]", -0.3, 0.3)
    force_field = read(INCREMENTS.replace("/>", f">{patterns}</ChargeIncrementModel>"))
    assert compute_increments(METHANOL, force_field).tolist() == [0.3, -0.3, 0.0, 0.0, 0.0, 0.0]


def test_total_charge():
    check_total_charge(METHANOL, numpy.array([0.1, -0.1, 0.0, 0.0, 0.0, 0.009]))
    for error in (0.011, numpy.nan):
        with pytest.raises(ValueError, match="its formal charge is 0 e"):
            check_total_charge(METHANOL, numpy.array([0.1, -0.1, 0.0, 0.0, 0.0, error]))

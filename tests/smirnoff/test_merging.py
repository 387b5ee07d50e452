"""Several force field files as one."""

import pytest
import torch

from common.smirnoff.merging import merge_force_fields
from common.smirnoff.offxml import ForceFieldError, ForceFieldFile, parse_force_field, read_force_field
from common.smirnoff.parameterize import parameterize
from tests.helpers import ROOT, SHARED

VDW = '<vdW version="{}" {}>{}</vdW>'
ATOM = '<Atom smirks="{}" epsilon="{} * mole**-1 * kilocalorie" sigma="3.0 * angstrom" id="n1"/>'
BOND = '<Bond smirks="[*:1]~[*:2]" k="500*angstrom**-2*mole**-1*kilocalorie" length="1.5*angstrom"/>'
BONDS = f'<Bonds version="0.4">{BOND}</Bonds>'


def make(name: str, *sections: str) -> ForceFieldFile:
    text = (
        f'<SMIRNOFF version="0.3" aromaticity_model="OEAroModel_MDL"><Author>me</Author>{"".join(sections)}</SMIRNOFF>'
    )
    return parse_force_field(text, name)


def list_parameters(file: ForceFieldFile, section: str) -> list[tuple[str, float]]:
    return [(parameter.smirks, parameter.values[0][0]) for parameter in file.sections[section].parameters]


FIRST = make(
    "first.offxml", VDW.format("0.3", 'cutoff="9.0*angstrom"', ATOM.format("[*:1]", 0.1) + ATOM.format("[#8:1]", 0.2))
)


def test_later_parameters_follow_earlier_ones_and_sections_are_added():
    second = make("second.offxml", VDW.format("0.4", 'cutoff="0.9*nanometer"', ATOM.format("[#1:1]", 0.3)), BONDS)
    merged = merge_force_fields([FIRST, second])
    assert merged.name == "first+second.offxml"
    assert list_parameters(merged, "vdW") == [("[*:1]", 0.1), ("[#8:1]", 0.2), ("[#1:1]", 0.3)]
    assert len(merged.sections["Bonds"].parameters) == 1
    assert parse_force_field(merged.text, merged.name) == merged


def test_a_pattern_in_both_files_counts_where_it_occurs_last():
    second = make("second.offxml", VDW.format("0.3", "", ATOM.format("[*:1]", 0.4)))
    assert list_parameters(merge_force_fields([FIRST, second]), "vdW") == [("[#8:1]", 0.2), ("[*:1]", 0.4)]


def test_a_single_file_stays_as_it_is():
    assert merge_force_fields([FIRST]) is FIRST


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ('scale14="0.25"', "second.offxml: vdW, scale_14 is 0.25, in the files before it 0.5"),
        ('cutoff="10*angstrom"', "second.offxml: vdW, cutoff is 10, in the files before it 9"),
        ('method="PME"', "second.offxml: vdW, method is 'PME', in the files before it 'cutoff'"),
    ],
)
def test_files_that_ask_for_different_things_are_refused(attributes, message):
    first = make("first.offxml", VDW.format("0.3", 'method="cutoff"', ATOM.format("[*:1]", 0.1)))
    second = make("second.offxml", VDW.format("0.3", attributes, ATOM.format("[#1:1]", 0.3)))
    with pytest.raises(ForceFieldError, match=message):
        merge_force_fields([first, second])


TIP3P_FB = """<SMIRNOFF version="0.3" aromaticity_model="OEAroModel_MDL">
<Constraints version="0.3">
<Constraint smirks="[#1:1]-[#8X2H2+0:2]-[#1]" id="c-oh" distance="1.0118108 * angstrom"/>
<Constraint smirks="[#1:1]-[#8X2H2+0]-[#1:2]" id="c-hh" distance="1.6386837 * angstrom"/>
</Constraints>
<vdW version="0.3">
<Atom smirks="[#1]-[#8X2H2+0:1]-[#1]" id="n-o" epsilon="0.652143528104 * mole**-1 * kilojoule" sigma="3.17796456355 * angstrom"/>
<Atom smirks="[#1:1]-[#8X2H2+0]-[#1]" id="n-h" epsilon="0 * mole**-1 * kilojoule" sigma="10 * angstrom"/>
</vdW>
<LibraryCharges version="0.3">
<LibraryCharge smirks="[#1]-[#8X2H2+0:1]-[#1]" id="q-o" charge1="-0.848448690103 * elementary_charge"/>
<LibraryCharge smirks="[#1:1]-[#8X2H2+0]-[#1]" id="q-h" charge1="0.4242243450515 * elementary_charge"/>
</LibraryCharges></SMIRNOFF>"""  # noqa: E501
"""TIP3P-FB: L.-P. Wang, T. J. Martinez, V. S. Pande, J. Phys. Chem. Lett. 5, 1885 (2014)."""

WATER, ETHANOL = "[O:1]([H:2])[H:3]", "[C:1]([C:2]([O:3][H:9])([H:7])[H:8])([H:4])([H:5])[H:6]"
BASES = [ROOT / "example" / "starter.offxml", SHARED / "force-fields" / "openff-2.1.0.offxml"]


@pytest.mark.parametrize("base", BASES, ids=lambda path: path.stem)
def test_a_water_model_from_a_second_file(base):
    """Water as OpenMM's own file of the model has it, all else as without the second file."""
    if not base.is_file():
        pytest.skip("needs Sage's file, which is not part of the project")
    app = pytest.importorskip("openmm.app")
    first = read_force_field(base)
    both = parameterize(
        merge_force_fields([first, parse_force_field(TIP3P_FB, "tip3p-fb.offxml")]), [WATER, ETHANOL], n_workers=1
    )
    alone = parameterize(first, [WATER, ETHANOL], n_workers=1)
    for type_ in ("Bonds", "Angles", "ProperTorsions", "vdW", "Electrostatics"):
        found, expected = (get_rows(one, ETHANOL, type_) for one in (both, alone))
        assert torch.equal(found, expected), type_
    topology = app.Topology()
    residue = topology.addResidue("HOH", topology.addChain())
    atoms = [topology.addAtom(name, app.Element.getBySymbol(name[0]), residue) for name in ("O", "H1", "H2")]
    for hydrogen in atoms[1:]:
        topology.addBond(atoms[0], hydrogen)
    system = app.ForceField("amber14/tip3pfb.xml").createSystem(topology)
    [force] = [force for force in system.getForces() if force.getName() == "NonbondedForce"]
    for i in range(3):
        charge, sigma, epsilon = (value._value for value in force.getParticleParameters(i))
        assert get_rows(both, WATER, "Electrostatics")[i].item() == pytest.approx(charge, abs=1e-6)
        values = get_rows(both, WATER, "vdW")[i].tolist()
        columns = both.force_field.potentials_by_type["vdW"].parameter_cols
        assert values[columns.index("epsilon")] * 4.184 == pytest.approx(epsilon, rel=1e-6)
        assert epsilon == 0.0 or values[columns.index("sigma")] / 10.0 == pytest.approx(sigma, rel=1e-6)


def get_rows(molecules, smiles: str, type_: str) -> torch.Tensor:
    """The parameters of each interaction or atom of a molecule."""
    rows = molecules.topologies[smiles].parameters[type_].parameter_idxs
    return molecules.force_field.potentials_by_type[type_].parameters[rows]

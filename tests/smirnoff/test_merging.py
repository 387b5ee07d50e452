"""Several force field files as one."""

import pytest

from common.smirnoff.merging import merge_force_fields
from common.smirnoff.offxml import ForceFieldError, ForceFieldFile, parse_force_field

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

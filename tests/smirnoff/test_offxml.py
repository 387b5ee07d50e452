"""Reading force field files: what comes out, what is refused and with which words."""

import math

import pytest

from common.smirnoff.offxml import ForceFieldError, parse_force_field, read_force_field
from tests.helpers import ROOT

STARTER = ROOT / "example" / "starter.offxml"

BOND = '<Bond smirks="[*:1]~[*:2]" id="b1" length="1.5 * angstrom" k="600 * kilocalorie/mole/angstrom**2"/>'
TORSION = 'k1="1 * kilocalorie/mole" periodicity1="2" phase1="180 * degree"'
EPSILON = 'epsilon="0.1 * kilocalorie/mole"'


def wrap(sections: str, header: str = "") -> str:
    return (
        f'<?xml version="1.0"?>{header}<SMIRNOFF version="0.3" aromaticity_model="OEAroModel_MDL">{sections}</SMIRNOFF>'
    )


def read(sections: str, header: str = ""):
    return parse_force_field(wrap(sections, header), "mine.offxml")


def section(name: str, parameters: str, attributes: str = "") -> str:
    return f'<{name} version="0.3" {attributes}>{parameters}</{name}>'


def test_values_come_in_inside_units():
    sections = read(
        section("Angles", '<Angle smirks="[*:1]~[*:2]~[*:3]" angle="90*degree" k="4.184*kilojoule/mole/radian**2"/>')
        + section("vdW", f'<Atom smirks="[*:1]" {EPSILON} rmin_half="0.1 * nanometer"/>')
    ).sections
    assert sections["Angles"].parameters[0].values == ((1.0, math.pi / 2),)
    epsilon, sigma = sections["vdW"].parameters[0].values[0]
    assert epsilon == 0.1
    assert 2 ** (1 / 6) * sigma == pytest.approx(2.0, rel=1e-15)  # the minimum lies at twice rmin_half


def test_order_ids_and_cosmetic_attributes_are_kept():
    first = BOND.replace("id=", 'parameterize="k, length" id=')
    second = BOND.replace("[*:1]~", "[#6:1]~").replace("b1", "b2")
    parameters = read(section("Bonds", first + second)).sections["Bonds"].parameters
    assert [parameter.id for parameter in parameters] == ["b1", "b2"]
    assert parameters[0].attributes["parameterize"] == "k, length"


@pytest.mark.parametrize(
    ("name", "element", "idivf"), [("ProperTorsions", "Proper", 1.0), ("ImproperTorsions", "Improper", 3.0)]
)
def test_automatic_idivf(name, element, idivf):
    smirks = "[*:1]~[*:2]~[*:3]~[*:4]" if element == "Proper" else "[*:1]~[*:2](~[*:3])~[*:4]"
    for attributes in ("", 'default_idivf="auto"'):
        parameters = (
            read(section(name, f'<{element} smirks="{smirks}" {TORSION}/>', attributes)).sections[name].parameters
        )
        assert parameters[0].values == ((1.0, 2.0, math.pi, idivf),)
    own = f'<{element} smirks="{smirks}" {TORSION} idivf1="6"/>'
    assert read(section(name, own, 'default_idivf="auto"')).sections[name].parameters[0].values[0][3] == 6.0


def test_an_improper_takes_the_default_idivf_of_its_section():
    improper = f'<Improper smirks="[*:1]~[*:2](~[*:3])~[*:4]" {TORSION}/>'
    values = read(section("ImproperTorsions", improper, 'default_idivf="2"')).sections["ImproperTorsions"].parameters
    assert values[0].values[0][3] == 2.0


def test_settings_and_their_defaults():
    sections = read(
        '<Electrostatics version="0.4"/>' + section("vdW", "", 'scale14="0.25" cutoff="1.0*nanometer"')
    ).sections
    assert sections["Electrostatics"].settings["scale_14"] == 0.833333
    assert sections["vdW"].settings == {
        "scale_12": 0.0, "scale_13": 0.0, "scale_14": 0.25, "scale_15": 1.0, "cutoff": 10.0, "switch_width": 1.0,
    }  # fmt: skip


def test_harmless_leftovers_pass():
    text = (
        section("Bonds", BOND, 'fractional_bondorder_method="AM1-Wiberg" fractional_bondorder_interpolation="linear"')
        + '<VirtualSites version="0.3" exclusion_policy="parents"/><GBSA version="0.3" gb_model="OBC1"/>'
        + '<Plugin version="0.3"/><Author>me</Author><Date>today</Date>'
    )
    assert list(read(text).sections) == ["Bonds"]


def test_starter_reads():
    force_field = read_force_field(STARTER)
    assert force_field.name == "starter.offxml"
    assert 50 <= sum(len(force_field.sections[name].parameters) for name in force_field.sections) <= 140


CASES = {
    "no smirks": (section("Bonds", BOND.replace("smirks", "smirk")), "Bonds.*id='b1'.*has no SMIRKS"),
    "bad smirks": (section("Bonds", BOND.replace("[*:1]", "[*:1")), "Bonds.*not a valid SMIRKS"),
    "too few tags": (section("Bonds", BOND.replace("[*:2]", "[*]")), r"Bonds.*id b1.*1 tagged atoms, expected 2"),
    "tag twice": (section("Bonds", BOND.replace("[*:2]", "[*:1]")), "tags are not 1, 2"),
    "tags apart": (section("Bonds", BOND.replace("~", "~[*]~")), "tags 1 and 2 are not joined by a bond"),
    "smirks twice": (section("Bonds", BOND + BOND.replace("b1", "b2")), r"SMIRKS '\[\*:1\]~\[\*:2\]' occurs twice"),
    "section twice": (section("Bonds", "") * 2, "two Bonds sections"),
    "other element": (section("Bonds", BOND.replace("Bond ", "Angle ")), "<Angle> is not known in this section"),
    "missing value": (section("Bonds", BOND.replace("length", "lenght")), "Bonds.*SMIRKS.*'length' is missing"),
    "no unit": (section("Bonds", BOND.replace(" * angstrom", "")), "Bonds.*SMIRKS.*length='1.5': the unit is missing"),
    "other unit": (section("Bonds", BOND.replace("* angstrom", "* degree")), "the unit does not fit"),
    "potential": (section("Bonds", BOND, 'potential="Morse"'), "potential='Morse' is not supported"),
    "bond orders": (
        section("Bonds", BOND.replace("k=", 'k_bondorder1="1" k_bondorder2=')),
        "k_bondorder1.*fractional bond orders are not supported",
    ),
    "torsion bond orders": (
        section("ProperTorsions", f'<Proper smirks="[*:1]~[*:2]~[*:3]~[*:4]" {TORSION} k1_bondorder1="1"/>'),
        "k1_bondorder1.*fractional bond orders",
    ),
    "section version": (section("Bonds", BOND).replace("0.3", "2.0"), "Bonds: version '2.0' is not supported"),
    "gap in terms": (
        section("ProperTorsions", f'<Proper smirks="[*:1]~[*:2]~[*:3]~[*:4]" {TORSION} k3="1 * kilocalorie/mole"/>'),
        "'k2' is missing",
    ),
    "uneven terms": (
        section("ProperTorsions", f'<Proper smirks="[*:1]~[*:2]~[*:3]~[*:4]" {TORSION} phase2="0 * degree"/>'),
        "'phase2' has no 'k2'",
    ),
    "periodicity": (
        section("ProperTorsions", f'<Proper smirks="[*:1]~[*:2]~[*:3]~[*:4]" {TORSION}/>'.replace('"2"', '"2.5"')),
        "periodicity1.*2.5",
    ),
    "idivf 0": (
        section("ProperTorsions", f'<Proper smirks="[*:1]~[*:2]~[*:3]~[*:4]" {TORSION} idivf1="0"/>'),
        "idivf1.*is 0",
    ),
    "proper idivf": (
        section("ProperTorsions", f'<Proper smirks="[*:1]~[*:2]~[*:3]~[*:4]" {TORSION}/>', 'default_idivf="9"'),
        "default_idivf='9' is not supported",
    ),
    "improper centre": (
        section("ImproperTorsions", f'<Improper smirks="[*:1](~[*:2])(~[*:3])~[*:4]" {TORSION}/>'),
        "tags 2 and 3 are not joined",
    ),
    "two sizes": (
        section("vdW", f'<Atom smirks="[*:1]" {EPSILON} sigma="1 * angstrom" rmin_half="1 * angstrom"/>'),
        "one of the attributes 'sigma' and 'rmin_half'",
    ),
    "no size": (section("vdW", f'<Atom smirks="[*:1]" {EPSILON}/>'), "one of the attributes 'sigma' and 'rmin_half'"),
    "mixing": (section("vdW", "", 'combining_rules="Waldman-Hagler"'), "vdW.*combining_rules='Waldman-Hagler'"),
    "1-3 scale": (section("vdW", "", 'scale13="0.5"'), "scale13='0.5' is not supported"),
    "charges": (
        section("LibraryCharges", '<LibraryCharge smirks="[#8:1]-[#1:2]" charge1="1 * elementary_charge"/>'),
        "1 charges for 2 tagged atoms",
    ),
    "increments": (
        section(
            "ChargeIncrementModel",
            '<ChargeIncrement smirks="[#8:1](-[#1:2])-[#1:3]" charge_increment1="1 * elementary_charge"/>',
        ),
        "1 charge increments for 3 tagged atoms",
    ),
    "virtual sites": (section("VirtualSites", '<VirtualSite smirks="[#8:1]"/>'), "VirtualSites is not supported"),
    "plugin": (section("DoubleExponential", "", 'alpha="18.7"'), "DoubleExponential is not supported"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_refuses_with_a_sentence(name):
    sections, reason = CASES[name]
    with pytest.raises(ForceFieldError, match=f"(?s)^mine.offxml: .*{reason}"):
        read(sections)


@pytest.mark.parametrize(
    "header",
    [
        '<!DOCTYPE s [<!ENTITY a "1234567890"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE s [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE s SYSTEM "http://127.0.0.1/never.dtd">',
    ],
)
def test_refuses_document_types_and_entities(header):
    with pytest.raises(ForceFieldError, match="refused, it declares a document type"):
        read("<Author>&a;</Author>", header)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not well-formed XML"),
        ("<SMIRNOFF>", "not well-formed XML"),
        (wrap(section("Bonds", BOND.replace("k=", "length="))), "not well-formed XML"),
        ('<?xml version="1.0" encoding="no-such"?><SMIRNOFF/>', "not well-formed XML"),
        (wrap("").replace('version="0.3"', 'version="0.1"'), "SMIRNOFF 0.1, which means other units"),
        (wrap("").replace('version="0.3"', 'version="9.9"'), "expected <SMIRNOFF version='0.3'>"),
        (wrap("").replace("SMIRNOFF", "ForceField"), "expected <SMIRNOFF version='0.3'>"),
        (wrap("").replace("OEAroModel_MDL", "OEAroModel_Daylight"), "aromaticity_model='OEAroModel_Daylight'"),
    ],
)
def test_refuses_other_files(text, reason):
    with pytest.raises(ForceFieldError, match=reason):
        parse_force_field(text, "mine.offxml")


def test_refuses_other_encodings(tmp_path):
    path = tmp_path / "mine.offxml"
    path.write_bytes(wrap("<Author>Müller</Author>").encode("latin-1"))
    with pytest.raises(ForceFieldError, match=r"mine\.offxml: not UTF-8"):
        read_force_field(path)


def test_ids_may_be_repeated():
    text = wrap(section("Bonds", BOND + BOND.replace("*:1", "#6:1")))
    parameters = parse_force_field(text, "test.offxml").sections["Bonds"].parameters
    assert [parameter.id for parameter in parameters] == ["b1", "b1"]

"""Writing fitted values: reading them back gives the same bits, and nothing else has changed."""

import difflib
import pathlib
import re

import pytest
import torch

from common.forcefields.tensors import ParameterKey, TensorForceField
from common.smirnoff.assignment import build_potentials
from common.smirnoff.offxml import parse_force_field, read_force_field
from common.smirnoff.offxml_writer import format_offxml, write_offxml
from tests.helpers import ROOT, SHARED

STARTER = ROOT / "example" / "starter.offxml"
SAGE = SHARED / "force-fields" / "openff-2.1.0.offxml"
FITTED = ("k", "length", "angle", "phase", "epsilon", "sigma", "charge")


def read_text(path: pathlib.Path) -> str:
    if not path.is_file():
        pytest.skip(f"{path.name} is not at hand; it is not part of the repository")
    return path.read_text()


def read_tensors(text: str) -> TensorForceField:
    return TensorForceField(build_potentials(parse_force_field(text, "test.offxml")))


def fit(force_field: TensorForceField, seed: int = 0) -> TensorForceField:
    """Random values, many of them negative, tiny or huge, in every column that can be fitted."""
    generator = torch.Generator().manual_seed(seed)
    parameters = {}
    for potential in force_field.potentials:
        values = potential.parameters.clone()
        for column, name in enumerate(potential.parameter_cols):
            if name in FITTED:
                noise = torch.randn(len(values), generator=generator, dtype=torch.float64)
                values[:, column] = noise * 10.0 ** torch.randint(-9, 9, (len(values),), generator=generator)
        parameters[potential.type] = values
    return force_field.replace_parameters(parameters)


@pytest.mark.parametrize("path", [STARTER, SAGE], ids=lambda path: path.name)
def test_reads_back_bit_for_bit(path, tmp_path):
    text = read_text(path)
    fitted = fit(read_tensors(text))
    write_offxml(text, fitted, tmp_path / "fitted.offxml", ["fitted in a test"])
    again = build_potentials(read_force_field(tmp_path / "fitted.offxml"))
    for before, after in zip(fitted.potentials, again, strict=True):
        assert before.parameter_keys == after.parameter_keys
        assert torch.equal(before.parameters.view(torch.int64), after.parameters.view(torch.int64)), before.type
    assert list(tmp_path.iterdir()) == [tmp_path / "fitted.offxml"]


@pytest.mark.parametrize("path", [STARTER, SAGE], ids=lambda path: path.name)
def test_only_changed_values_and_the_comment_differ(path):
    text = read_text(path)
    force_field = read_tensors(text)
    lengths = force_field.potentials_by_type["Bonds"].parameters.clone()
    lengths[3, 1] += 0.01
    written = format_offxml(text, force_field.replace_parameters({"Bonds": lengths}), ["one length"])
    lines = [line for line in difflib.ndiff(text.splitlines(), written.splitlines()) if line[0] in "+-"]
    removed, added = ([line[2:] for line in lines if line[0] == sign] for sign in "-+")
    assert len(removed) == 1
    assert added[0] == "<!--"
    assert added[1].strip() == "one length"
    assert removed[0].split("length=")[0] == added[-1].split("length=")[0]
    assert re.sub('length="[^"]*"', "", removed[0]) == re.sub('length="[^"]*"', "", added[-1])
    assert f'length="{lengths[3, 1].item()!r} * angstrom"' in added[-1]


def test_unchanged_values_keep_their_text():
    text = STARTER.read_text()
    written = format_offxml(text, read_tensors(text))
    assert "values changed: nothing" in written
    assert re.sub(r"<!--\n[^<]*values changed: nothing\n-->\n", "", written) == text


def test_provenance_is_a_comment_whatever_it_says():
    text = STARTER.read_text()
    written = format_offxml(text, fit(read_tensors(text)), ["from a--b.offxml --> <Bonds/> -", "two\nlines \x00 é"])
    force_field = parse_force_field(written, "fitted.offxml")
    assert list(force_field.sections) == list(parse_force_field(text, "starter.offxml").sections)
    assert "SHA-256 of the file before: " + parse_force_field(text, "starter.offxml").sha256 in written
    assert "from a- -b.offxml - -> <Bonds/> -" in written
    assert "values changed: Bonds k (" in written


def test_values_are_spelled_as_openff_spells_them():
    text = STARTER.read_text()
    written = format_offxml(text, fit(read_tensors(text)))
    number = r"-?\d[\d.]*(e[+-]\d+)?"
    for name, unit in {
        "k": r"angstrom\*\*-2 \* mole\*\*-1 \* kilocalorie", "length": "angstrom",
        "angle": "radian", "k1": r"mole\*\*-1 \* kilocalorie", "charge1": "elementary_charge",
    }.items():  # fmt: skip
        assert re.search(rf' {name}="{number} \* {unit}"', written), name


def test_a_size_given_as_rmin_half_becomes_a_sigma():
    text = STARTER.read_text()
    force_field = read_tensors(text)
    values = force_field.potentials_by_type["vdW"].parameters.clone()
    values[0, 1] = 2.5
    before, after = text, format_offxml(text, force_field.replace_parameters({"vdW": values}))
    assert 'rmin_half="1.443 * angstrom"' in before
    assert 'rmin_half="1.443 * angstrom"' not in after
    assert after.count("rmin_half") == before.count("rmin_half") - 1
    assert 'sigma="2.5 * angstrom"' in after


def test_single_quotes_line_breaks_and_marks_inside_values():
    text = (
        '<SMIRNOFF version="0.3" aromaticity_model="OEAroModel_MDL">\r\n<!-- <Bond k="1"/> é -->\r\n'
        "<Bonds version=\"0.3\"><Bond\r\n  note = 'k=\"0\" > length' smirks='[*:1]~[*:2]' k = '1 * kcal/mol/nm**2'"
        '\r\n  length="1 * angstrom"/></Bonds></SMIRNOFF>'
    )
    force_field = read_tensors(text)
    fitted = force_field.replace_parameters({"Bonds": torch.tensor([[2.5, 1.0]], dtype=torch.float64)})
    written = format_offxml(text, fitted)
    assert read_tensors(written).potentials[0].parameters.tolist() == [[2.5, 1.0]]
    assert 'k="2.5 * angstrom**-2 * mole**-1 * kilocalorie"' in written
    assert written.endswith('\r\n  length="1 * angstrom"/></Bonds></SMIRNOFF>')


def test_charges_of_molecules_are_passed_over():
    text = STARTER.read_text()
    force_field = read_tensors(text)
    charges = force_field.potentials_by_type["Electrostatics"]
    longer = TensorForceField(
        tuple(
            p.__class__(**{
                **vars(p),
                "parameters": torch.cat([p.parameters, torch.ones(1, 1, dtype=torch.float64)]),
                "parameter_keys": (*p.parameter_keys, ParameterKey("[He:1]", 0)),
            }) if p is charges else p
            for p in force_field.potentials
        )
    )  # fmt: skip
    assert "values changed: nothing" in format_offxml(text, longer)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [("k", float("nan"), "k = nan"), ("k", float("inf"), "k = inf"), ("periodicity", 4.0, "periodicity = 4.0")],
)
def test_refuses_values(column, value, reason, tmp_path):
    text = STARTER.read_text()
    force_field = read_tensors(text)
    potential = force_field.potentials_by_type["ProperTorsions"]
    values = potential.parameters.clone()
    values[0, potential.parameter_cols.index(column)] = value
    path = tmp_path / "fitted.offxml"
    path.write_text("earlier")
    with pytest.raises(ValueError, match=f"ProperTorsions, SMIRKS .*{reason} cannot be written"):
        write_offxml(text, force_field.replace_parameters({"ProperTorsions": values}), path)
    assert path.read_text() == "earlier"


def test_refuses_values_of_another_file():
    text = STARTER.read_text()
    other = text.replace("[#6X4:1]-[#6X4:2]", "[#6X4:1]-[#6X4r5:2]")
    with pytest.raises(ValueError, match=r"Bonds: the force field file has no SMIRKS"):
        format_offxml(text, read_tensors(other))
    with pytest.raises(ValueError, match="1-4 scales"):
        format_offxml(text, read_tensors(text.replace('scale14="0.5"', 'scale14="0.6"')))
    without = re.sub(r"(?s)<ImproperTorsions.*</ImproperTorsions>", "", text)
    with pytest.raises(ValueError, match="ImproperTorsions: the force field file has no such section"):
        format_offxml(without, read_tensors(text))

"""What a fit changed, and what is known of each value."""

import dataclasses

import pytest

from common.analysis.parameter_changes import Details, find_usage, list_changes, rank_changes, read_details
from common.files.plain import write_table

HEADER = "type,smirks,id,mult,column,unit,initial,fitted,standard_error,prior_width,n_molecules,n_conformers,"
HEADER += "determined,at_limit,correlated_with,correlation\n"


def change_value(molecules, type_, row, column, factor):
    """The molecules with one value of their force field multiplied."""
    potential = molecules.force_field.potentials_by_type[type_]
    table = potential.parameters.clone()
    table[row, potential.parameter_cols.index(column)] *= factor
    return dataclasses.replace(molecules, force_field=molecules.force_field.replace_parameters({type_: table}))


def test_changes_are_named_and_ranked(parity_molecules):
    fitted = change_value(parity_molecules, "Bonds", 2, "k", 1.5)
    fitted = change_value(fitted, "Bonds", 4, "k", 0.1)
    fitted = change_value(fitted, "Angles", 0, "angle", 1.1)
    fitted = change_value(fitted, "Bonds", 5, "k", 0.01)
    bonds, angles = (fitted.force_field.potentials_by_type[type_] for type_ in ("Bonds", "Angles"))
    details = {("Bonds", bonds.parameter_keys[5].id, None, "k"): Details(None, 1, False)}
    trained = {"Bonds": ["k"], "Angles": ["angle"], "vdW of another force field": ["epsilon"]}
    changes = list_changes(trained, parity_molecules.force_field, fitted, details)
    assert len(changes) == len(bonds.parameters) + len(angles.parameters)
    moved = rank_changes(changes)
    assert [change.smirks for change in moved["Bonds k"]] == [bonds.parameter_keys[i].id for i in (4, 2)]
    [angle] = moved["Angles angle"]
    assert angle.unit == "degree"
    assert angle.fitted == pytest.approx(1.1 * angle.initial)
    assert angle.initial == pytest.approx(
        float(parity_molecules.force_field.potentials_by_type["Angles"].column("angle")[0]) * 57.29577951308232
    )


def test_terms_of_a_torsion_are_told_apart_by_their_periodicity(parity_molecules):
    torsions = parity_molecules.force_field.potentials_by_type["ProperTorsions"]
    changes = list_changes({"ProperTorsions": ["k"]}, parity_molecules.force_field, parity_molecules, {})
    for change, key, periodicity in zip(changes, torsions.parameter_keys, torsions.column("periodicity"), strict=True):
        assert change.label == f"{key.id} (n = {int(periodicity)})"
        assert change.mult == key.mult + 1


def test_details_of_a_run_are_read(tmp_path):
    path = tmp_path / "parameters.csv"
    assert read_details(path) == {}
    path.write_text(
        HEADER
        + "Bonds,[#6:1]-[#6:2],b-cc,,k,kilocalorie,1.0,2.0,0.5,100,3,9,yes,no,b-cc length,0.5\n"
        + "ProperTorsions,x,t,1,k,kilocalorie,1.0,1.0,,,0,0,no,yes,,\n"
    )
    assert read_details(path) == {
        ("Bonds", "[#6:1]-[#6:2]", None, "k"): Details(0.5, 3, True, False, "b-cc length"),
        ("ProperTorsions", "x", 1, "k"): Details(None, 0, False, True, ""),
    }
    path.write_text(HEADER + "Bonds,[#6:1]-[#6:2],b-cc,one,k,kilocalorie,1.0,2.0,0.5,100,3,9,yes,no,,\n")
    with pytest.raises(ValueError, match=r"parameters\.csv: damaged"):
        read_details(path)


def test_usage_names_the_parameters_of_a_molecule(parity_molecules):
    smiles = "[C:1]([H:2])([H:3])([H:4])[H:5]"
    usage = find_usage(parity_molecules, [smiles])[smiles]
    assert sorted(type_ for type_, _ in usage) == ["Angles", "Bonds", "vdW", "vdW"]
    assert ("vdW", "[#6X4:1]") in usage


def test_tables_are_csv(tmp_path):
    write_table(tmp_path / "one.csv", [{"a": 1, "b": None}, {"a": "x,y", "b": 0.5}])
    assert (tmp_path / "one.csv").read_text().splitlines() == ["a,b", "1,", '"x,y",0.5']

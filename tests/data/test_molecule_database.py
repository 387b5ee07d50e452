"""Databases of molecules: units, what is refused, and the packed form."""

import ase
import ase.db
import numpy
import pytest

from common.data.molecule_database import (
    PACKED_PRECISION,
    Database,
    Molecule,
    find_factor,
    parse_unit,
    read_database,
    read_packed,
    write_database,
    write_packed,
)

WATER = numpy.array([[0.0, 0.0, 0.1], [0.0, 0.78, -0.49], [0.0, -0.78, -0.49]])
BOHR = 0.529177210903
HARTREE_IN_KCAL = 627.5094740631
HARTREE = 27.211386245988  # [eV] CODATA 2018; ASE's default is of 2014, equal to 1e-8


def write_by_recipe(path, molecules, units, distance_unit, factor):
    """As G-SchNet's recipe does: properties as arrays under data, units in the metadata."""
    with ase.db.connect(path) as connection:
        connection.metadata = {"_distance_unit": distance_unit, "_property_unit_dict": units}
        for numbers, coords, properties in molecules:
            connection.write(
                ase.Atoms(numbers, numpy.array(coords) / factor),
                data={name: numpy.array([value]) for name, value in properties.items()},
            )


def test_a_database_in_hartree_and_bohr_is_read_with_the_right_numbers(tmp_path):
    rows = [
        ([8, 1, 1], WATER, {"energy": -5.07, "gap": 0.5, "qed": 0.3}),
        ([1, 1], WATER[1:], {"energy": -1.1, "gap": 0.6, "qed": 0.1}),
    ]
    write_by_recipe(tmp_path / "a.db", rows, {"energy": "Hartree", "gap": "Ha", "qed": ""}, "Bohr", BOHR)
    database = read_database(tmp_path / "a.db")
    numpy.testing.assert_allclose(database.molecules[0].coords, WATER, atol=1e-7)
    assert database.properties == ["energy", "gap", "qed"]
    numpy.testing.assert_allclose(database.get_values("energy", "eV"), [-5.07 * HARTREE, -1.1 * HARTREE], rtol=1e-7)
    numpy.testing.assert_allclose(
        database.get_values("energy", "kcal/mol"), [-5.07 * 627.5094740631, -1.1 * 627.5094740631], rtol=1e-7
    )
    numpy.testing.assert_allclose(database.get_values("gap"), [0.5, 0.6])
    numpy.testing.assert_allclose(database.get_values("qed"), [0.3, 0.1])


def test_what_is_written_is_read_back_and_nothing_else_stands_beside_it(tmp_path):
    vector = numpy.array([1.0, 2.0, 3.0])
    molecule = Molecule(
        numpy.array([8, 1, 1]), WATER, {"gap": numpy.array(7.5), "fingerprint": vector}, "O", {"targets": {"gap": 7.0}}
    )
    write_database(tmp_path / "b.db", [molecule, molecule], {"gap": "eV"}, {"stage": "test"})
    database = read_database(tmp_path / "b.db")
    assert len(database.molecules) == 2
    assert database.metadata == {"stage": "test"}
    assert database.units == {"gap": "eV"}
    found = database.molecules[1]
    numpy.testing.assert_array_equal(found.coords, WATER)
    numpy.testing.assert_array_equal(found.properties["fingerprint"], vector)
    assert found.properties["gap"] == 7.5
    assert (found.smiles, found.data) == ("O", {"targets": {"gap": 7.0}})
    assert [path.name for path in tmp_path.iterdir()] == ["b.db"]


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (ase.Atoms([1, 1], [[0, 0, 0], [0, 0, 0.74]], cell=[5, 5, 5], pbc=True), "row 1: has a periodic cell"),
        (ase.Atoms([1, 1], [[0, 0, 0], [0, 0, 0.01]]), "row 1: atoms 1 and 2 are at one place"),
        (ase.Atoms([1, 1], [[0, 0, 0], [0, 0, numpy.nan]]), "row 1: .*not finite"),
    ],
)
def test_what_is_no_molecule_is_refused_with_its_row(atoms, message, tmp_path):
    with ase.db.connect(tmp_path / "c.db") as connection:
        connection.metadata = {"_distance_unit": "Ang", "_property_unit_dict": {}}
        connection.write(atoms)
    with pytest.raises(ValueError, match=message):
        read_database(tmp_path / "c.db")


def test_databases_without_units_damaged_and_missing_ones_are_refused(tmp_path):
    with ase.db.connect(tmp_path / "d.db") as connection:
        connection.write(ase.Atoms([1], [[0, 0, 0]]))
    with pytest.raises(ValueError, match="no _distance_unit"):
        read_database(tmp_path / "d.db")
    write_by_recipe(tmp_path / "e.db", [([1], [[0, 0, 0]], {})], {}, "furlong", 1.0)
    with pytest.raises(ValueError, match="'furlong' is unknown; there are Ang"):
        read_database(tmp_path / "e.db")
    (tmp_path / "f.db").write_bytes(b"SQLite format 3\0" + b"\1" * 5000)
    with pytest.raises(ValueError, match=r"f\.db: no ASE database, or a damaged one"):
        read_database(tmp_path / "f.db")
    with pytest.raises(FileNotFoundError, match="no such database"):
        read_database(tmp_path / "g.db")


def test_properties_that_are_missing_not_finite_or_without_unit_are_named():
    def make(**properties):
        return Molecule(numpy.array([1]), numpy.zeros((1, 3)), {k: numpy.array(v) for k, v in properties.items()})

    database = Database([make(gap=1.0, mu=1.0), make(gap=numpy.nan, mu=2.0)], {"gap": "eV"}, {})
    with pytest.raises(ValueError, match=r"no property 'alpha' .* there are gap, mu"):
        database.get_values("alpha")
    with pytest.raises(ValueError, match="'gap' is not finite in 1 molecules, the first is row 2"):
        database.get_values("gap")
    with pytest.raises(ValueError, match="'mu' has no unit"):
        database.get_values("mu", "Debye")


@pytest.mark.parametrize(
    ("unit", "wanted", "factor"),
    [
        ("Hartree", "eV", HARTREE),
        ("kcal/mol", "kJ/mol", 4.184),
        ("a0*a0*a0", "Ang*Ang*Ang", BOHR**3),
        ("cal/mol/K", "kcal/mol/K", 1e-3),
        ("eV", "meV", 1e3),
    ],
)
def test_units_are_converted(unit, wanted, factor):
    assert find_factor(unit, wanted) == pytest.approx(factor, rel=1e-7)


@pytest.mark.parametrize("unit", ["", "ev", "eV//Ang", "eV^2"])
def test_unknown_units_are_refused(unit):
    with pytest.raises(ValueError, match="is unknown"):
        parse_unit(unit)


def test_packed_molecules_come_back_rounded(tmp_path):
    random = numpy.random.default_rng(0)
    molecules = [
        Molecule(numpy.array([6, 1, 1, 8])[:n], random.normal(size=(n, 3)) * 3, {"gap": numpy.array(1.5 * n)}, "C" * n)
        for n in (1, 4, 2)
    ]
    write_packed(tmp_path / "p.npz", Database(molecules, {"gap": "eV"}, {}), ["gap"])
    found = read_packed(tmp_path / "p.npz")
    assert found.units == {"gap": "eV"}
    for a, b in zip(found.molecules, molecules, strict=True):
        numpy.testing.assert_array_equal(a.numbers, b.numbers)
        centred = b.coords - b.coords.mean(axis=0)
        assert numpy.abs(a.coords - centred).max() <= 0.5 * PACKED_PRECISION + 1e-12
        assert (a.smiles, float(a.properties["gap"])) == (b.smiles, float(b.properties["gap"]))
    with pytest.raises(ValueError, match="no packed molecules"):
        (tmp_path / "q.npz").write_bytes(b"PK\x03\x04nothing")
        read_packed(tmp_path / "q.npz")

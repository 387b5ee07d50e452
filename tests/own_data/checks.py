"""How what was imported is compared with what was written."""

import pathlib

import numpy

from common.data.dataset import Entry
from common.own_data.conversion import Import, convert_block
from common.own_data.formats import FORMATS, find_all_blocks, recognize
from common.own_data.records import Reading
from common.own_data.units import parse_units
from tests.own_data.samples import get_total


def read_all(*paths: pathlib.Path, **settings) -> list[Entry]:
    """All entries of files, with the units of their format unless ``units`` says others."""
    name = recognize(paths[0])
    units = settings.pop("units", (FORMATS[name].energy_unit, FORMATS[name].length_unit))
    charge = settings.pop("charge", 0)
    reading = Reading(parse_units(*units), **settings)
    what = Import("own", name, reading, charge)
    return [
        entry for block in find_all_blocks(name, paths, reading) for entry in convert_block(what, block, block.name)[0]
    ]


def check_same(found: Entry, expected: Entry, energy_tolerance: float = 1e-6) -> None:
    """The same numbers; text has eight decimal places, or ten digits."""
    assert found.smiles == expected.smiles
    numpy.testing.assert_allclose(found.coords, expected.coords, atol=1e-7)
    numpy.testing.assert_allclose(found.forces, expected.forces, atol=1e-6)
    numpy.testing.assert_allclose(get_total(found), get_total(expected), atol=energy_tolerance)
    assert abs(found.energy.mean()) < 1e-9

"""The conversion: damage that is named."""

import pathlib
import shutil

import pytest

from common.espaloma.archive import EntryLocation, find_entries
from common.espaloma.conversion import read_location
from common.espaloma.entry import EntryError
from tests.damages import DROPPED, REFUSED
from tests.helpers import DATA

MAX_FORCE = 1e5
"""[kcal/mol/Angstrom]."""


@pytest.fixture
def ethanol(tmp_path) -> pathlib.Path:
    """A sound entry of an archive, for a test to damage."""
    folder = tmp_path / "gen2-torsion" / "12"
    shutil.copytree(DATA / "heterograph" / "ethanol", folder, ignore=shutil.ignore_patterns("expected*"))
    return folder


def locate(folder: pathlib.Path) -> EntryLocation:
    [location] = find_entries(folder.parents[1], ["gen2-torsion"])["gen2-torsion"]
    return location


@pytest.mark.parametrize("damage", REFUSED, ids=lambda damage: damage.__name__)
def test_damage_to_an_entry_is_named(damage, ethanol):
    damage(ethanol)
    with pytest.raises(EntryError) as caught:
        read_location(locate(ethanol), MAX_FORCE)
    assert "gen2-torsion/12" in str(caught.value)
    assert REFUSED[damage] in str(caught.value)


@pytest.mark.parametrize("damage", DROPPED, ids=lambda damage: damage.__name__)
def test_a_damaged_conformer_is_left_out_and_counted(damage, ethanol):
    n_sound = read_location(locate(ethanol), MAX_FORCE).entry.n_confs
    damage(ethanol)
    converted = read_location(locate(ethanol), MAX_FORCE)
    assert converted.dropped == {DROPPED[damage]: 1}
    assert converted.entry.n_confs == n_sound - 1

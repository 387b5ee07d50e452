"""A fit set up anew with finer types: molecules keep their splits, children are held to parents, the loss falls."""

import pytest

from common.data.splits import SplitSettings
from common.fitting.exact_fit import fit_valence
from common.fitting.priors import is_of_children
from common.forcefields.parameter_file import load_parameters
from common.model_selection.setup import Plan, set_up
from common.sufficient_statistics.settings import PassMachine, PassSettings
from common.type_discovery.finer_fit import find_types, take_types
from tests.type_discovery.test_discovery import molecules
from tests.type_discovery.test_finer_types import COLUMNS, N_FOLDS, STRENGTH, made

__all__ = ["made", "molecules"]

MAX_SPLITS = 4


@pytest.fixture(scope="module")
def setups(made):
    folder, statistics, *_ = made
    start = load_parameters(folder / "start.pt")
    setup = set_up(Plan(COLUMNS, strength=STRENGTH), start, statistics)
    settings = PassSettings(split=SplitSettings(n_folds=N_FOLDS))
    folders = (folder / "data", folder / "cache")
    types = find_types(setup, *folders, settings, MAX_SPLITS, 1)
    finer = take_types(setup, types, statistics.splits, *folders, settings, PassMachine(1))
    return setup, types, finer


def test_the_search_is_that_of_the_parts(setups, made):
    _, types, _ = setups
    *_, found, _ = made
    assert types == found  # read from where the other one kept it


def test_children_are_held_to_their_parents_and_the_loss_falls(setups):
    setup, types, finer = setups
    strengths = finer.objectives["train"].prior_strengths
    assert {value for kind, value in strengths.items() if is_of_children(kind)} == {types.strength}
    assert {value for kind, value in strengths.items() if not is_of_children(kind)} == {STRENGTH}
    assert finer.statistics.splits == setup.statistics.splits
    losses = [fit_valence(one.objectives["train"], one.trainable, COLUMNS, one.start).loss for one in (setup, finer)]
    assert losses[1] < losses[0]

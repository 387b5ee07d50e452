"""What cannot work is said before anything is paid for."""

import dataclasses

import pytest

from common.active_learning.plan import CampaignFolder, check_plan, draw_beginning
from common.active_learning.search_space import STARTING_MODEL, read_search_space
from tests.active_learning.spaces import N_INITIAL, PLAN, make_plan, write_space


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return read_search_space(write_space(tmp_path_factory.mktemp("space")))


def test_a_sound_plan_passes(space):
    check_plan(PLAN, space)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (make_plan(min_run_length=50, max_run_length=40), "shortest run of dynamics has 50 steps, the longest 40"),
        (make_plan(n_members=1), "an ensemble of one never disagrees"),
        (make_plan(budget=N_INITIAL), f"budget of {N_INITIAL} calculations is spent by the initial set"),
        (dataclasses.replace(PLAN, n_initial=1), "an initial set of 1 cannot be trained"),
        (
            dataclasses.replace(make_plan(budget=99), n_initial=21),
            "has 20 labelled structures for an initial set of 21",
        ),
    ],
)
def test_what_cannot_work_is_named(space, plan, message):
    with pytest.raises(ValueError, match=message):
        check_plan(plan, space)


def test_an_ensemble_of_one_may_choose_by_chance(space):
    check_plan(make_plan(n_members=1, uncertainty="random"), space)


def test_a_model_that_lacks_an_element_is_named(tmp_path):
    folder = write_space(tmp_path / "space")
    text = (folder / "space.json").read_text()
    (folder / "space.json").write_text(text.replace("[O:1]", "[S:1]"))
    with pytest.raises(ValueError, match=r"knows the elements \[1, 8\], and the molecules have \[16\], too"):
        check_plan(PLAN, read_search_space(folder))


def test_no_model_to_start_from(tmp_path):
    folder = write_space(tmp_path / "space")
    (folder / STARTING_MODEL).unlink()
    space = read_search_space(folder)
    with pytest.raises(ValueError, match="has no pretrained model; start from random weights"):
        check_plan(PLAN, space)
    check_plan(dataclasses.replace(PLAN, is_pretrained=False), space)


def test_campaigns_of_one_seed_begin_alike_whatever_else_is_decided(space):
    one, two = (draw_beginning(space, make_plan(uncertainty=kind)) for kind in ("energies", "random"))
    assert one.starts == two.starts
    assert one.initial.coords.tobytes() == two.initial.coords.tobytes()
    other = draw_beginning(space, make_plan(seed=9))
    assert one.initial.coords.tobytes() != other.initial.coords.tobytes()
    assert len(one.initial) == N_INITIAL


def test_where_things_lie(tmp_path):
    folder = CampaignFolder(tmp_path)
    assert folder.get_model(3, 1) == tmp_path / "models" / "round-003" / "member-1.pt"
    assert folder.get_labels(3).parent == folder.get_model(3, 1).parent
    assert folder.get_run("sample-7") == tmp_path / "trajectories" / "sample-7.npz"

"""Structures laid end to end."""

import dataclasses

import numpy
import pytest

from common.tasks.labels import Labels, join_labels, load_labels, make_labels, save_labels


@pytest.fixture
def labels():
    random = numpy.random.default_rng(0)
    numbers = [numpy.array([8, 1, 1]), numpy.array([6, 1, 1, 1, 1]), numpy.array([8, 1, 1])]
    coords = [random.normal(size=(len(each), 3)) for each in numbers]
    forces = [random.normal(size=(len(each), 3)) for each in numbers]
    return make_labels([0, 1, 0], numbers, coords, [-1.0, -2.0, -3.0], forces)


def equal(a: Labels, b: Labels) -> bool:
    return all(
        numpy.array_equal(getattr(a, field.name), getattr(b, field.name)) for field in dataclasses.fields(Labels)
    )


def test_one_structure(labels):
    numbers, coords, forces = labels.get(1)
    assert numbers.tolist() == [6, 1, 1, 1, 1]
    numpy.testing.assert_array_equal(coords, labels.coords[3:8])
    numpy.testing.assert_array_equal(forces, labels.forces[3:8])


def test_some_structures_in_another_order_and_twice(labels):
    some = labels.select(numpy.array([2, 1, 2]))
    assert some.energies.tolist() == [-3.0, -2.0, -3.0]
    assert some.molecules.tolist() == [0, 1, 0]
    for i, k in enumerate([2, 1, 2]):
        numpy.testing.assert_array_equal(some.get(i)[1], labels.get(k)[1])


def test_parts_make_the_whole(labels):
    parts = [labels.select(numpy.array([i])) for i in range(3)]
    assert equal(join_labels(parts), labels)


def test_the_largest_force_is_that_of_the_worst_atom(labels):
    expected = [numpy.linalg.norm(labels.get(i)[2], axis=1).max() for i in range(3)]
    numpy.testing.assert_allclose(labels.find_largest_forces(), expected)


def test_no_structures():
    empty = make_labels([], [], [], [], [])
    assert len(empty) == 0
    assert empty.find_largest_forces().shape == (0,)
    assert empty.list_atoms(numpy.zeros(0, dtype=int)).shape == (0,)


def test_a_file_comes_back_to_the_last_bit(labels, tmp_path):
    save_labels(tmp_path / "labels.npz", labels)
    assert equal(load_labels(tmp_path / "labels.npz"), labels)


def test_a_damaged_file_is_named(labels, tmp_path):
    path = tmp_path / "labels.npz"
    save_labels(path, labels)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"labels\.npz: damaged"):
        load_labels(path)
    with pytest.raises(FileNotFoundError):
        load_labels(tmp_path / "none.npz")


def test_arrays_that_do_not_belong_together_are_refused(labels, tmp_path):
    save_labels(tmp_path / "labels.npz", dataclasses.replace(labels, coords=labels.coords[:-1]))
    with pytest.raises(ValueError, match="do not belong together"):
        load_labels(tmp_path / "labels.npz")

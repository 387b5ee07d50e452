"""What is left of a campaign, as other stages read it."""

import json

import numpy
import pytest
import torch

from common.active_learning.outputs import POTENTIAL, write_data, write_final_model
from common.active_learning.plan import CampaignFolder
from common.active_learning.search_space import make_molecule
from common.data.dataset import open_dataset, read_entries
from common.files.artifacts import ArtifactError
from common.neural.atom_energies import AtomEnergyNetwork
from common.potentials.file import NetworkFile, load_network, save_network
from common.tasks.labels import join_labels, make_labels
from tests.tasks.made_up import NUMBERS, OFFSET, PAINN, SMILES, draw_labels, springs

MOLECULES = [make_molecule(SMILES)]
LIMIT = 230.0  # [kcal/mol/Angstrom]


def label(coords):
    found = [springs(NUMBERS, each, 0) for each in coords]
    n = len(coords)
    return make_labels([0] * n, [NUMBERS] * n, list(coords), [e.energy for e in found], [e.forces for e in found])


def test_the_data_set_is_one_of_the_schema(tmp_path):
    labels = draw_labels(20, 0, 0.03)
    counts = write_data(tmp_path, "active-water", labels, MOLECULES, LIMIT, 200)
    assert counts == {"kept": 20, "broken": 0, "forceful": 0, "alike": 0}
    (entry,) = read_entries(open_dataset(tmp_path / "active-water"))
    assert entry.smiles == SMILES
    numpy.testing.assert_array_equal(entry.coords.reshape(-1, 3), labels.coords)
    numpy.testing.assert_array_equal(entry.forces.reshape(-1, 3), labels.forces)
    numpy.testing.assert_allclose(entry.energy + entry.energy_offset, labels.energies, atol=1e-9)
    assert entry.energy_offset == pytest.approx(OFFSET, abs=50.0)
    assert json.loads((tmp_path / "smiles.json").read_text()) == [SMILES]


def test_molecules_join_those_that_are_there(tmp_path):
    others = ["[C:1]([H:2])([H:3])([H:4])[H:5]", SMILES]
    (tmp_path / "smiles.json").write_text(json.dumps(others))
    for _ in range(2):
        write_data(tmp_path, "active-water", draw_labels(5, 0, 0.03), MOLECULES, LIMIT, 200)
    assert json.loads((tmp_path / "smiles.json").read_text()) == sorted(others)
    (tmp_path / "smiles.json").write_text('{"a": 1}')
    with pytest.raises(ArtifactError, match=r"smiles\.json: damaged \(no list of strings\)"):
        write_data(tmp_path, "active-water", draw_labels(5, 0, 0.03), MOLECULES, LIMIT, 200)


def test_what_says_nothing_of_a_force_field_is_left_out_and_counted(tmp_path):
    sound = draw_labels(6, 0, 0.03)
    torn = sound.coords[:3].copy()
    torn[1] = torn[0] + 1.42 * (torn[1] - torn[0])  # 1.36 Angstrom
    squeezed = sound.coords[:3].copy()
    squeezed[1] = squeezed[0] + 0.05 * (squeezed[1] - squeezed[0])
    labels = join_labels([sound, label(numpy.array([torn, squeezed]))])
    counts = write_data(tmp_path, "active-water", labels, MOLECULES, LIMIT, 200)
    assert counts == {"kept": 6, "broken": 1, "forceful": 1, "alike": 0}


def test_the_farthest_are_kept(tmp_path):
    alike = draw_labels(1, 0, 0.02)
    others = draw_labels(4, 1, 0.05)
    labels = join_labels([alike, alike, alike, others])
    counts = write_data(tmp_path, "active-water", labels, MOLECULES, LIMIT, 5)
    assert counts == {"kept": 5, "broken": 0, "forceful": 0, "alike": 2}
    (entry,) = read_entries(open_dataset(tmp_path / "active-water"))
    assert len(numpy.unique(entry.energy)) == 5


def test_the_best_member_is_the_potential(tmp_path):
    folder = CampaignFolder(tmp_path)
    paths = [folder.get_model(4, k) for k in range(3)]
    for k, (path, error) in enumerate(zip(paths, (2.0, 1.0, 3.0), strict=True)):
        network = AtomEnergyNetwork(PAINN, torch.Generator().manual_seed(k))
        save_network(path, NetworkFile(network, {1: 0.0, 8: 0.0}, {"progress": {"validation_error": error}}))
    for _ in range(2):  # again in place of the first
        assert write_final_model(folder, paths) == 1.0
    names = sorted(path.name for path in folder.final_model.iterdir())
    assert names == ["member-0.pt", "member-1.pt", "member-2.pt", POTENTIAL]
    best = load_network(folder.final_model / POTENTIAL)
    assert best.provenance["member"] == 1
    expected = load_network(paths[1]).network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in best.network.state_dict().items())

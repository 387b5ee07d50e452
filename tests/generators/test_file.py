"""A generator's file: read back whole, without trust."""

import pytest
import torch

from common.generators.conditions import CompositionFit
from common.generators.file import TrainedGenerator, load_generator, save_generator
from tests.generators.made_up import CONDITIONS, make_network, make_settings


def test_a_generator_is_read_back(tmp_path):
    network = make_network(make_settings(conditions=CONDITIONS))
    fits = {"gap": CompositionFit((1.0, 2.0, 3.0, 4.0, 5.0), -0.5)}
    generator = TrainedGenerator(network, {"gap": "eV"}, {"gap": (2.0, 9.0)}, fits, True, 23, "abc")
    save_generator(tmp_path / "generator.pt", generator)
    found = load_generator(tmp_path / "generator.pt")
    assert found.network.settings == network.settings
    for (name, a), (_, b) in zip(found.network.state_dict().items(), network.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    assert (found.units, found.ranges, found.fits) == ({"gap": "eV"}, {"gap": (2.0, 9.0)}, fits)
    assert (found.may_omit, found.max_atoms, found.origin) == (True, 23, "abc")
    assert not any(parameter.requires_grad for parameter in found.network.parameters())


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no generator here"):
        load_generator(tmp_path / "missing.pt")
    (tmp_path / "damaged.pt").write_bytes(b"PK\x03\x04 nothing of use")
    with pytest.raises(ValueError, match=r"damaged\.pt: no generator"):
        load_generator(tmp_path / "damaged.pt")
    torch.save(make_network(make_settings()), tmp_path / "trusted.pt")  # a pickled module, as upstream's best_model
    with pytest.raises(ValueError, match=r"trusted\.pt: no generator"):
        load_generator(tmp_path / "trusted.pt")
    torch.save({"format": 99}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="no generator of format 1"):
        load_generator(tmp_path / "other.pt")

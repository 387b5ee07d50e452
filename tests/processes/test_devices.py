"""Devices: those that are there pass, others are named before any work."""

import pytest
import torch

from common.processes.devices import check_device


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:0", "cuda:1"])
def test_a_device_that_is_there_passes(name):
    assert check_device(name) == name


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cpu:0", "CUDA", ""])
def test_a_name_that_is_none_is_told_what_there_is(name):
    with pytest.raises(ValueError, match=f"device = '{name}': no such device; there are cpu, cuda, cuda:0, cuda:1"):
        check_device(name)


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_too_many_is_counted():
    with pytest.raises(ValueError, match="this machine has 2 GPU that torch can use"):
        check_device("cuda:2")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_without_a_gpu_there_is_the_processor(name):
    assert check_device("cpu") == "cpu"
    with pytest.raises(ValueError, match=r"has no GPU that torch can use; there are cpu$"):
        check_device(name)

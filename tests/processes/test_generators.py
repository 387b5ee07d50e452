"""Streams of random numbers by name."""

import torch

from common.processes.generators import make_generator


def test_another_key_is_another_stream():
    streams = [
        torch.randn(4, generator=make_generator(*key)) for key in ((0, "noise", 1), (0, "noise", 2), (1, "noise", 1))
    ]
    assert len({tuple(stream.tolist()) for stream in streams}) == 3
    assert torch.equal(streams[0], torch.randn(4, generator=make_generator(0, "noise", 1)))

"""Random numbers by name: the same key gives the same stream, on any rank and after any interruption."""

import hashlib

import torch


def make_generator(*key: int | str) -> torch.Generator:
    """A generator seeded by numbers and words, e.g. ``(seed, "noise", cycle, epoch, replica)``."""
    digest = hashlib.sha256("|".join(str(part) for part in key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)

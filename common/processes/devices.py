"""Where tensors are computed: on the processors, or on a GPU."""

import re

import torch


def check_device(name: str) -> str:
    """The same name, if there is such a device here.

    Args:
        name: "cpu", "cuda", or "cuda:1" for the second GPU.

    Raises:
        ValueError: the name is none, or this machine has no such device; the message says what there is.
    """
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there_are = ", ".join(["cpu", *(["cuda"] if n_gpus else []), *(f"cuda:{i}" for i in range(n_gpus))])
    if match is None:
        raise ValueError(f"device = {name!r}: no such device; there are {there_are}")
    if name != "cpu" and int(match[1] or 0) >= n_gpus:
        raise ValueError(
            f"device = {name!r}: this machine has {n_gpus or 'no'} GPU that torch can use; there are {there_are}"
        )
    return name

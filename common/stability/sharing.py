"""What processes tell each other: rows of tensors, put together in an order that does not depend on their number."""

import torch

from common.processes.ranks import Ranks


def gather_rows(ranks: Ranks, tensor: torch.Tensor) -> torch.Tensor:
    """The rows of all ranks, those of rank 0 first; the same on each rank, to the last bit."""
    if ranks.world_size == 1:
        return tensor
    counts = torch.zeros(ranks.world_size, dtype=torch.int64)
    counts[ranks.rank] = len(tensor)
    ranks.sum_in_place(counts)
    start = int(counts[: ranks.rank].sum())
    is_mask = tensor.dtype == torch.bool
    rows = torch.zeros((int(counts.sum()), *tensor.shape[1:]), dtype=torch.int64 if is_mask else tensor.dtype)
    rows[start : start + len(tensor)] = tensor
    ranks.sum_in_place(rows)  # a number and zeros add up to that number exactly; NaN stays NaN
    return rows.bool() if is_mask else rows


def deal(n_items: int, ranks: Ranks) -> torch.Tensor:
    """The items of this rank: every ``world_size``-th."""
    return torch.arange(ranks.rank, n_items, ranks.world_size)


def collect_dealt(n_items: int, ranks: Ranks, tensor: torch.Tensor) -> torch.Tensor:
    """The rows of all items, in their order, from those that were dealt to each rank."""
    if ranks.world_size == 1:
        return tensor
    order = torch.cat([torch.arange(rank, n_items, ranks.world_size) for rank in range(ranks.world_size)])
    rows = gather_rows(ranks, tensor)
    result = torch.empty_like(rows)
    result[order] = rows
    return result

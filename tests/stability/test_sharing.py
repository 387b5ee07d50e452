"""Rows that processes tell each other."""

import torch

from common.processes.ranks import Ranks, run_ranks
from common.stability.sharing import collect_dealt, deal, gather_rows


def exchange(ranks, path):
    """Each rank has so many rows of its own; NaN among them."""
    own = torch.full((ranks.rank + 1, 2), float(ranks.rank))
    own[0, 0] = torch.nan if ranks.rank else 0.5
    rows = gather_rows(ranks, own)
    mask = gather_rows(ranks, torch.tensor([ranks.rank == 0]))
    items = torch.arange(10, 15)
    mine = items[deal(5, ranks)]
    torch.save((rows, mask, collect_dealt(5, ranks, mine), mine), f"{path}-{ranks.rank}.pt")


def test_two_ranks_have_the_same_in_the_end(tmp_path):
    run_ranks(exchange, (str(tmp_path / "rows"),), 2)
    results = [torch.load(tmp_path / f"rows-{rank}.pt", weights_only=True) for rank in (0, 1)]
    for rows, mask, items, _ in results:
        torch.testing.assert_close(
            rows, torch.tensor([[0.5, 0.0], [torch.nan, 1.0], [1.0, 1.0]]), equal_nan=True, atol=0, rtol=0
        )
        assert mask.tolist() == [True, False]
        assert items.tolist() == [10, 11, 12, 13, 14]
    assert [result[3].tolist() for result in results] == [[10, 12, 14], [11, 13]]


def test_one_rank_keeps_what_it_has():
    rows = torch.randn(3, 2)
    assert gather_rows(Ranks(0, 1), rows) is rows
    assert torch.equal(rows[deal(3, Ranks(0, 1))], rows)

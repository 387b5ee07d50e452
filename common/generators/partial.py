"""Partial molecules that share their distances, and the sums over neighbours that SchNet takes in them.

Many partial molecules of one molecule have the same distances. What depends on distances alone, SchNet's filters, is
computed once for each pair of a molecule's nodes and serves all of them; node 0 is the origin, node i + 1 atom i, and
the focus token has the place, and so the pairs, of its focus. A node hears of all others and of the token, never of
itself; the token and its focus hear of one another at distance 0.

The sums run over rows that are there and over nothing else, molecules of any size side by side. On a processor numba
does it, at the speed of the arithmetic; elsewhere torch does, by a list of all edges.
"""

import typing

import numba
import torch


class PartialMolecules(typing.NamedTuple):
    """Steps of molecules, each with the nodes that are there.

    Rows are the nodes of the first step, of the second and so on; the tokens of all steps follow.

    Attributes:
        kinds: what each row is, ``shape=(n_rows + n_steps,)``.
        nodes: which node of its molecule each row but the tokens is, ``shape=(n_rows,)``.
        starts: the first row of each step, and ``n_rows``, ``shape=(n_steps + 1,)``.
        focus_rows: the row of each step's focus, ``shape=(n_steps,)``.
        molecules: to which molecule each step belongs, ``shape=(n_steps,)``.
        pair_starts: row in ``distances`` of each molecule's first pair, ``shape=(n_molecules,)``; the pair of nodes
            i < j is j (j - 1) / 2 + i further on.
        distances: [Angstrom] of the pairs; row 0 is the distance zero, ``shape=(1 + n_pairs,)``.
    """

    kinds: torch.Tensor
    nodes: torch.Tensor
    starts: torch.Tensor
    focus_rows: torch.Tensor
    molecules: torch.Tensor
    pair_starts: torch.Tensor
    distances: torch.Tensor

    @property
    def n_rows(self) -> int:
        """Without the tokens."""
        return len(self.nodes)

    @property
    def n_steps(self) -> int:
        return len(self.molecules)

    def to(self, device: torch.device) -> "PartialMolecules":
        """The same on another device."""
        return PartialMolecules(*(tensor.to(device) for tensor in self))


class Edges(typing.NamedTuple):
    """All pairs of rows that hear of one another, both ways, ``shape=(n_edges,)`` each.

    Attributes:
        receivers: rows that hear.
        senders: rows that are heard.
        pairs: their rows in ``distances``.
    """

    receivers: torch.Tensor
    senders: torch.Tensor
    pairs: torch.Tensor


def list_edges(partial: PartialMolecules) -> Edges:
    """Every edge of every partial molecule: of nodes with nodes, and of the token with all nodes."""
    starts, device = partial.starts, partial.nodes.device
    counts = starts.diff()
    step_of_row = torch.repeat_interleave(torch.arange(partial.n_steps, device=device), counts)
    n_senders = counts[step_of_row]
    receivers = torch.repeat_interleave(torch.arange(partial.n_rows, device=device), n_senders)
    first = torch.repeat_interleave(n_senders.cumsum(0) - n_senders, n_senders)
    senders = starts[step_of_row[receivers]] + torch.arange(len(receivers), device=device) - first
    is_edge = receivers != senders
    receivers, senders = receivers[is_edge], senders[is_edge]
    tokens = partial.n_rows + step_of_row
    rows = torch.arange(partial.n_rows, device=device)
    focus = partial.focus_rows[step_of_row]
    between = _find_pairs(partial, step_of_row[receivers], receivers, senders)
    of_tokens = _find_pairs(partial, step_of_row, rows, focus)
    return Edges(
        torch.cat([receivers, rows, tokens]),
        torch.cat([senders, tokens, rows]),
        torch.cat([between, of_tokens, of_tokens]),
    )


def _find_pairs(
    partial: PartialMolecules, steps: torch.Tensor, rows: torch.Tensor, others: torch.Tensor
) -> torch.Tensor:
    """Rows in ``distances`` of pairs of rows; 0 for two in one place."""
    first, second = partial.nodes[rows], partial.nodes[others]
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    pairs = partial.pair_starts[partial.molecules[steps]] + high * (high - 1) // 2 + low
    return torch.where(first == second, 0, pairs)


def aggregate_by_edges(filters: torch.Tensor, sent: torch.Tensor, edges: Edges) -> torch.Tensor:
    """What each row hears: the sum over its edges of filter times what is sent.

    Args:
        filters: of the pairs, ``shape=(1 + n_pairs, n_channels)``.
        sent: by each row, ``shape=(n_rows + n_steps, n_channels)``.
        edges: who hears of whom.

    Returns:
        ``shape=(n_rows + n_steps, n_channels)``.
    """
    messages = filters.index_select(0, edges.pairs) * sent.index_select(0, edges.senders)
    return torch.zeros_like(sent).index_add(0, edges.receivers, messages)


def aggregate(filters: torch.Tensor, sent: torch.Tensor, partial: PartialMolecules) -> torch.Tensor:
    """The same by numba, for tensors of a processor; arguments as :func:`aggregate_by_edges`."""
    structure = (partial.nodes, partial.starts, partial.focus_rows, partial.molecules, partial.pair_starts)
    return _Aggregate.apply(filters, sent, *structure)


class _Aggregate(torch.autograd.Function):
    @staticmethod
    def forward(context, filters, sent, *structure):
        context.save_for_backward(filters, sent, *structure)
        heard = torch.zeros_like(sent)
        arrays = [tensor.detach().contiguous().numpy() for tensor in (filters, sent, *structure)]
        _sum_forward(*[*arrays, heard.numpy()])
        return heard

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, gradient):
        filters, sent, *structure = context.saved_tensors
        filter_gradient, sent_gradient = torch.zeros_like(filters), torch.zeros_like(sent)
        arrays = [tensor.detach().contiguous().numpy() for tensor in (filters, sent, *structure, gradient)]
        _sum_backward(*[*arrays, filter_gradient.numpy(), sent_gradient.numpy()])
        return filter_gradient, sent_gradient, None, None, None, None, None


@numba.njit(cache=True, fastmath=True, inline="always")
def _pair(start, i, j):
    if i == j:
        return 0
    low, high = min(i, j), max(i, j)
    return start + high * (high - 1) // 2 + low


@numba.njit(cache=True, fastmath=True)
def _sum_forward(filters, sent, nodes, starts, focus_rows, molecules, pair_starts, heard):  # pragma: no cover
    """Each unordered pair of rows once: both ends hear of one another through one filter."""
    n_rows, n_channels = len(nodes), sent.shape[1]
    for step in range(len(molecules)):
        start = pair_starts[molecules[step]]
        token, focus = n_rows + step, nodes[focus_rows[step]]
        for a in range(starts[step], starts[step + 1]):
            i = nodes[a]
            for b in range(starts[step], a):
                pair = _pair(start, i, nodes[b])
                for c in range(n_channels):
                    heard[a, c] += filters[pair, c] * sent[b, c]
                    heard[b, c] += filters[pair, c] * sent[a, c]
            pair = _pair(start, i, focus)
            for c in range(n_channels):
                heard[a, c] += filters[pair, c] * sent[token, c]
                heard[token, c] += filters[pair, c] * sent[a, c]


@numba.njit(cache=True, fastmath=True)
def _sum_backward(
    filters, sent, nodes, starts, focus_rows, molecules, pair_starts, gradient, filter_gradient, sent_gradient
):  # pragma: no cover
    """The derivatives of :func:`_sum_forward`; with symmetric filters the sum is its own transpose."""
    n_rows, n_channels = len(nodes), sent.shape[1]
    for step in range(len(molecules)):
        start = pair_starts[molecules[step]]
        token, focus = n_rows + step, nodes[focus_rows[step]]
        for a in range(starts[step], starts[step + 1]):
            i = nodes[a]
            for b in range(starts[step], a):
                pair = _pair(start, i, nodes[b])
                for c in range(n_channels):
                    sent_gradient[b, c] += filters[pair, c] * gradient[a, c]
                    sent_gradient[a, c] += filters[pair, c] * gradient[b, c]
                    filter_gradient[pair, c] += gradient[a, c] * sent[b, c] + gradient[b, c] * sent[a, c]
            pair = _pair(start, i, focus)
            for c in range(n_channels):
                sent_gradient[token, c] += filters[pair, c] * gradient[a, c]
                sent_gradient[a, c] += filters[pair, c] * gradient[token, c]
                filter_gradient[pair, c] += gradient[a, c] * sent[token, c] + gradient[token, c] * sent[a, c]

"""Forward selection of splits by Schur complements.

The types of now have columns A (of all their interactions), with the system matrix K = G_AA + prior = LLᵀ and the
optimum x = K⁻¹h_A. A child of a type has columns C of its own interactions; they carry its deviation from the parent,
drawn to zero by a prior, so that taking it in changes no other column. With W = L⁻¹G_AC, S = G_CC + prior - WᵀW and
g = h_C - G_CA x, the loss with the child is lower by gᵀS⁻¹g.

The columns of any child are sums of those of leaves, and so is its W: what is kept is L⁻¹G between the columns of now
and the leaves. When a child is accepted, that gets one block of rows more, a single product, from which follow the
changes of S and g of every other candidate; only the children of the two types that have changed are scored anew.

Limits of parameters are left out here; the fit that follows keeps them.
"""

import collections.abc
import dataclasses

import numpy
import scipy.linalg
import scipy.sparse

from common.type_discovery.candidates import Candidates, TypeOfNow, list_candidates

RELATIVE_PIVOT = 1e-9
"""Of a child's own curvature: less of it is left where other columns can do all that the child could."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """All that the search needs to know, at the grain of leaves.

    Attributes:
        gram: mean loss on the training molecules, ``shape=(n_columns + 1, n_columns + 1)``, the residual last.
        base: which leaf columns each starting column sums, ``shape=(n_base, n_columns)``.
        prior: of the starting columns and the residual, ``shape=(n_base + 1, n_base + 1)``.
        child_prior: of the deviation of a child, for each leaf column, ``shape=(n_columns,)``.
        held_out: as ``gram``, what the molecules left out add to a mean loss; None where there are none.
    """

    gram: scipy.sparse.csr_array
    base: scipy.sparse.csr_array
    prior: numpy.ndarray
    child_prior: numpy.ndarray
    held_out: scipy.sparse.csr_array | None = None


@dataclasses.dataclass(frozen=True)
class Step:
    """One accepted split.

    Attributes:
        parent: number of the type that was split; children are numbered after the starting types, in order.
        tag: from 1, and
        primitive: number of what its atoms have.
        leaves: of the child.
        gain: by how much the training loss with priors fell.
        loss_held_out: after it, None without molecules left out.
    """

    parent: int
    tag: int
    primitive: int
    leaves: numpy.ndarray
    gain: float
    loss_held_out: float | None


class Search:
    """The state of the selection; :meth:`advance` takes the best split."""

    def __init__(self, problem: Problem, types: collections.abc.Sequence[TypeOfNow]):
        """Solves for the starting types and scores all their children."""
        self.problem = problem
        self.types = list(types)
        n_base, n_columns = problem.base.shape
        self.leaf_gram = problem.gram[:n_columns, :n_columns].tocsr()
        self.leaf_slope = problem.gram[:, [n_columns]].toarray()[:n_columns, 0]
        rows = problem.base @ self.leaf_gram
        matrix = (rows @ problem.base.T).toarray() + problem.prior[:-1, :-1]
        slope = problem.base @ self.leaf_slope + problem.prior[:-1, -1]
        factor = scipy.linalg.cholesky(matrix, lower=True)
        self.n = n_base
        self._factor = _Growing(factor, is_square=True)
        self._forward = _Growing(scipy.linalg.solve_triangular(factor, slope, lower=True))
        self._leaf_rows = _Growing(scipy.linalg.solve_triangular(factor, rows.toarray(), lower=True))
        self.constant = float(problem.gram[n_columns, n_columns] + problem.prior[-1, -1])
        self.scored = [self._score(number) for number in range(len(self.types))]
        self.held_gram = problem.held_out
        self._held_sums = scipy.sparse.csr_array(problem.base)

    # --- what is known of now -----------------------------------------------------------------------------------

    @property
    def n_candidates(self) -> int:
        """How many children could be taken now."""
        return sum(len(scored.gains) for scored in self.scored)

    @property
    def loss(self) -> float:
        """The training loss with priors at the optimum."""
        return self.constant - float(self._forward.values @ self._forward.values)

    @property
    def solution(self) -> numpy.ndarray:
        """x, ``shape=(n,)``: the starting columns, then the deviations of the children."""
        return scipy.linalg.solve_triangular(
            self._factor.values, self._forward.values, lower=True, trans="T", check_finite=False
        )

    def compute_held_out_loss(self) -> float | None:
        """What the molecules left out add to the mean loss, without priors."""
        if self.held_gram is None:
            return None
        leaves = numpy.append(self.solution @ self._held_sums, -1.0)  # δ at the grain of leaves
        return float(leaves @ (self.held_gram @ leaves))

    # --- a step --------------------------------------------------------------------------------------------------

    def advance(self) -> Step | None:
        """Takes the split with the largest gain; None where nothing is left to gain."""
        gains = [float(scored.gains.max()) if len(scored.gains) else 0.0 for scored in self.scored]
        parent = int(numpy.argmax(gains)) if gains else 0
        if not gains or gains[parent] <= 0.0:
            return None
        scored = self.scored[parent]
        best = int(numpy.argmax(scored.gains))
        candidates = scored.candidates
        leaves = self.types[parent].leaves[candidates.members[best]]
        step = Step(parent, int(candidates.tags[best]), int(candidates.primitives[best]), leaves, gains[parent], None)
        self._append(parent, leaves)
        self.types.append(self.types[parent].make_child(leaves))
        self.types[parent] = self.types[parent].without(leaves)
        self.scored[parent] = self._score(parent)
        self.scored.append(self._score(len(self.types) - 1))
        return dataclasses.replace(step, loss_held_out=self.compute_held_out_loss())

    def _append(self, parent: int, leaves: numpy.ndarray) -> None:
        """Takes the columns of a child into the system, and updates the scores of all candidates but its siblings."""
        columns = self.types[parent].get_columns(leaves)  # (size, n_leaves)
        sums = _make_sums(columns, self.leaf_gram.shape[0])
        rows = (sums @ self.leaf_gram).toarray()
        coupling = self._leaf_rows.values[:, columns].sum(axis=2)  # W of the child, (n, size)
        own = sums @ rows.T + numpy.diag(self.problem.child_prior[columns[:, 0]])
        pivot = scipy.linalg.cholesky(own - coupling.T @ coupling, lower=True)
        forward = scipy.linalg.solve_triangular(
            pivot, sums @ self.leaf_slope - coupling.T @ self._forward.values, lower=True
        )
        new = scipy.linalg.solve_triangular(
            pivot, rows - coupling.T @ self._leaf_rows.values, lower=True, check_finite=False
        )
        self._factor.append(numpy.concatenate((coupling.T, pivot), axis=1))
        self._forward.append(forward)
        self._leaf_rows.append(new)
        for number, scored in enumerate(self.scored):
            if number != parent and len(scored.gains):
                scored.update(new[:, self.types[number].columns], forward)
        if self.held_gram is not None:
            self._held_sums = scipy.sparse.vstack((self._held_sums, sums), format="csr")
        self.n += len(columns)

    def _score(self, number: int) -> "_Scored":
        """The candidates of one type with S and g, computed anew."""
        type_ = self.types[number]
        candidates = list_candidates(type_)
        m, size = len(candidates.members), type_.size
        if not m:
            return _Scored(candidates, *(numpy.zeros((0, *shape)) for shape in ((1,), (size, size), (size,), (size,))))
        members = candidates.members.astype(float)
        columns = type_.columns  # (size, n_leaves of the type)
        n_leaves, places = columns.shape[1], columns.ravel()
        own = self.leaf_gram[places][:, places].toarray().reshape(size, n_leaves, size, n_leaves)
        left = (members @ own.transpose(1, 0, 2, 3).reshape(n_leaves, -1)).reshape(m, size, size, n_leaves)
        schur = numpy.einsum("mjkb,mb->mjk", left, members)
        floor = RELATIVE_PIVOT * schur.diagonal(axis1=1, axis2=2)
        coupling = (self._leaf_rows.values[:, columns] @ members.T).transpose(2, 1, 0)  # W, (m, size, n)
        schur += numpy.diag(self.problem.child_prior[columns[:, 0]]) - coupling @ coupling.transpose(0, 2, 1)
        slope = members @ self.leaf_slope[columns].T - coupling @ self._forward.values
        return _Scored(candidates, members, schur, slope, floor)


class _Scored:
    """The candidates of one type and what is known of them.

    Attributes:
        candidates: of the type.
        members: the leaves of each, ``shape=(n_candidates, n_leaves)``, 1 or 0.
        schur: S, ``shape=(n_candidates, size, size)``.
        slope: g, ``shape=(n_candidates, size)``.
        floor: the least pivot that counts, ``shape=(n_candidates, size)``.
        gains: gᵀS⁻¹g, ``shape=(n_candidates,)``.
    """

    def __init__(
        self,
        candidates: Candidates,
        members: numpy.ndarray,
        schur: numpy.ndarray,
        slope: numpy.ndarray,
        floor: numpy.ndarray,
    ):
        self.candidates, self.members = candidates, members
        self.schur, self.slope, self.floor = schur, slope, floor
        self._refresh()

    def update(self, leaf_rows: numpy.ndarray, forward: numpy.ndarray) -> None:
        """Takes one block of rows more of W.

        Args:
            leaf_rows: of the type's leaves, ``shape=(n_rows, size, n_leaves)``.
            forward: L⁻¹h of these rows, ``shape=(n_rows,)``.
        """
        new = (leaf_rows @ self.members.T).transpose(2, 1, 0)  # (n_candidates, size, n_rows)
        self.schur -= new @ new.transpose(0, 2, 1)
        self.slope -= new @ forward
        self._refresh()

    def _refresh(self) -> None:
        """The gains from S and g."""
        if not len(self.slope):
            self.gains = numpy.zeros(0)
            return
        if self.slope.shape[1] == 1:
            solved = self.slope / self.schur[:, 0]
        else:
            solved = numpy.linalg.solve(self.schur, self.slope[..., None])[..., 0]
        gains = (self.slope * solved).sum(axis=1)
        pivots = self.schur.diagonal(axis1=1, axis2=2)
        self.gains = numpy.where((pivots > self.floor).all(axis=1), gains, 0.0)


class _Growing:
    """An array that gets rows more, and columns too where it is square, without being copied each time."""

    def __init__(self, values: numpy.ndarray, is_square: bool = False):
        self._n, self._is_square = len(values), is_square
        self._room = numpy.array(values)

    @property
    def values(self) -> numpy.ndarray:
        """What is there."""
        return self._room[: self._n, : self._n] if self._is_square else self._room[: self._n]

    def append(self, rows: numpy.ndarray) -> None:
        """Adds rows; those of a square array, whose upper triangle is 0, reach to the diagonal."""
        n = self._n + len(rows)
        if n > len(self._room):
            more = n // 2
            width = [(0, more)] if self._room.ndim == 1 else [(0, more), (0, more if self._is_square else 0)]
            self._room = numpy.pad(self._room, width)
        if self._room.ndim == 1:
            self._room[self._n : n] = rows
        else:
            self._room[self._n : n, : rows.shape[1]] = rows
        self._n = n


def _make_sums(columns: numpy.ndarray, n_columns: int) -> scipy.sparse.csr_array:
    """The matrix that sums leaf columns, ``(size, n_leaves) -> (size, n_columns)``."""
    size, n_leaves = columns.shape
    values = numpy.ones(columns.size)
    return scipy.sparse.csr_array(
        (values, (numpy.repeat(numpy.arange(size), n_leaves), columns.ravel())), shape=(size, n_columns)
    )

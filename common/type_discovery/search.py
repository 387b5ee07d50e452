"""Forward selection of splits by Schur complements.

The types of now have columns A (of all their interactions), with the system matrix K = G_AA + prior = LLᵀ and the
optimum x = K⁻¹h_A. A child of a type has columns C of its own interactions; they carry its deviation from the parent,
drawn to zero by a prior, so that taking it in changes no other column. With W = L⁻¹G_AC, S = G_CC + prior - WᵀW and
g = h_C - G_CA x, the loss with the child is lower by gᵀS⁻¹g. When a child is accepted, L, W, S and g of everything
else get one block of rows more: nothing is computed anew, but for the children of the two types that have changed.

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

    def __init__(self, problem: Problem, types: collections.abc.Sequence[TypeOfNow], max_splits: int):
        """Solves for the starting types and scores all their children."""
        self.problem = problem
        self.types = list(types)
        n_base, n_columns = problem.base.shape
        capacity = n_base + max_splits * max((one.size for one in types), default=0)
        residual = n_columns
        self.leaf_gram = problem.gram[:residual, :residual].tocsr()
        self.leaf_slope = problem.gram[:, [residual]].toarray()[:residual, 0]
        rows = problem.base @ self.leaf_gram
        matrix = (rows @ problem.base.T).toarray() + problem.prior[:-1, :-1]
        slope = problem.base @ self.leaf_slope + problem.prior[:-1, -1]
        self.n = n_base
        self.factor = numpy.zeros((capacity, capacity))
        self.factor[:n_base, :n_base] = scipy.linalg.cholesky(matrix, lower=True)
        self.forward = numpy.zeros(capacity)  # L⁻¹h
        self.forward[:n_base] = scipy.linalg.solve_triangular(self.factor[:n_base, :n_base], slope, lower=True)
        self.rows = numpy.zeros((capacity, n_columns))  # G between the columns of now and the leaves
        self.rows[:n_base] = rows.toarray()
        self.constant = float(problem.gram[residual, residual] + problem.prior[-1, -1])
        self.scored = [self._score(number) for number in range(len(self.types))]
        self._open_held_out(capacity)

    # --- what is known of now -----------------------------------------------------------------------------------

    @property
    def loss(self) -> float:
        """The training loss with priors at the optimum."""
        return self.constant - float(self.forward[: self.n] @ self.forward[: self.n])

    @property
    def solution(self) -> numpy.ndarray:
        """x, ``shape=(n,)``: the starting columns, then the deviations of the children."""
        return scipy.linalg.solve_triangular(
            self.factor[: self.n, : self.n], self.forward[: self.n], lower=True, trans="T"
        )

    def compute_held_out_loss(self) -> float | None:
        """What the molecules left out add to the mean loss, without priors."""
        if self.held_gram is None:
            return None
        x = self.solution
        return float(
            x @ self.held_matrix[: self.n, : self.n] @ x - 2.0 * self.held_slope[: self.n] @ x + self.held_constant
        )

    # --- a step --------------------------------------------------------------------------------------------------

    def advance(self) -> Step | None:
        """Takes the split with the largest gain; None where nothing is left to gain."""
        gains = [float(scored.gains.max()) if len(scored.gains) else 0.0 for scored in self.scored]
        parent = int(numpy.argmax(gains))
        if gains[parent] <= 0.0:
            return None
        scored = self.scored[parent]
        best = int(numpy.argmax(scored.gains))
        candidates = scored.candidates
        leaves = self.types[parent].leaves[candidates.members[best]]
        step = Step(parent, int(candidates.tags[best]), int(candidates.primitives[best]), leaves, gains[parent], None)
        self._append(self.types[parent], leaves)
        self.types.append(self.types[parent].make_child(leaves))
        self.types[parent] = self.types[parent].without(leaves)
        self.scored[parent] = self._score(parent)
        self.scored.append(self._score(len(self.types) - 1))
        return dataclasses.replace(step, loss_held_out=self.compute_held_out_loss())

    def _append(self, parent: TypeOfNow, leaves: numpy.ndarray) -> None:
        """Takes the columns of a child into the system, and updates the scores of all candidates."""
        columns = parent.get_columns(leaves)  # (size, n_leaves)
        sums = _make_sums(columns, self.leaf_gram.shape[0])
        rows = (sums @ self.leaf_gram).toarray()
        n, size = self.n, len(columns)
        coupling = scipy.linalg.solve_triangular(self.factor[:n, :n], (sums @ self.rows[:n].T).T, lower=True)
        own = sums @ rows.T + numpy.diag(self.problem.child_prior[columns[:, 0]])
        pivot = scipy.linalg.cholesky(own - coupling.T @ coupling, lower=True)
        forward = scipy.linalg.solve_triangular(
            pivot, sums @ self.leaf_slope - coupling.T @ self.forward[:n], lower=True
        )
        self.factor[n : n + size, :n] = coupling.T
        self.factor[n : n + size, n : n + size] = pivot
        self.forward[n : n + size] = forward
        self.rows[n : n + size] = rows
        for number, scored in enumerate(self.scored):
            if len(scored.gains):
                self._update(self.types[number], scored, coupling, pivot, forward, rows)
        self._append_held_out(sums)
        self.n += size

    # --- scores --------------------------------------------------------------------------------------------------

    def _score(self, number: int) -> "_Scored":
        """The candidates of one type with W, S and g, computed anew."""
        type_ = self.types[number]
        candidates = list_candidates(type_)
        m, size = len(candidates.members), type_.size
        members = candidates.members.astype(float)
        columns = type_.columns  # (size, n_leaves of the type)
        coupling = numpy.zeros((self.factor.shape[0], m, size))
        if m:
            for j in range(size):
                coupling[: self.n, :, j] = scipy.linalg.solve_triangular(
                    self.factor[: self.n, : self.n], self.rows[: self.n][:, columns[j]] @ members.T, lower=True
                )
        schur = numpy.zeros((m, size, size))
        for j in range(size):
            for k in range(size):
                block = self.leaf_gram[columns[j]][:, columns[k]].toarray()
                schur[:, j, k] = ((members @ block) * members).sum(axis=1)
        curvature = schur.diagonal(axis1=1, axis2=2).copy()
        prior = self.problem.child_prior[columns[:, 0]] if m else numpy.zeros(size)
        used = coupling[: self.n]
        schur += numpy.diag(prior) - numpy.einsum("nmj,nmk->mjk", used, used)
        slope = members @ self.leaf_slope[columns].T - numpy.einsum("nmj,n->mj", used, self.forward[: self.n])
        scored = _Scored(candidates, coupling, schur, slope, RELATIVE_PIVOT * curvature, numpy.zeros(m))
        scored.refresh()
        return scored

    def _update(
        self,
        type_: TypeOfNow,
        scored: "_Scored",
        coupling: numpy.ndarray,
        pivot: numpy.ndarray,
        forward: numpy.ndarray,
        rows: numpy.ndarray,
    ) -> None:
        """One block of rows more in W, and what follows for S and g."""
        n, size, own = self.n, len(pivot), type_.size
        members = scored.candidates.members.astype(float)
        m = len(members)
        between = numpy.stack([rows[:, type_.columns[j]] @ members.T for j in range(own)], axis=2)  # (size, m, own)
        between -= (coupling.T @ scored.coupling[:n].reshape(n, m * own)).reshape(size, m, own)
        new = scipy.linalg.solve_triangular(pivot, between.reshape(size, m * own), lower=True).reshape(size, m, own)
        scored.coupling[n : n + size] = new
        scored.schur -= numpy.einsum("smj,smk->mjk", new, new)
        scored.slope -= numpy.einsum("smj,s->mj", new, forward)
        scored.refresh()

    # --- molecules left out ----------------------------------------------------------------------------------------

    def _open_held_out(self, capacity: int) -> None:
        self.held_gram = None
        if self.problem.held_out is None:
            return
        residual = self.problem.base.shape[1]
        self.held_gram = self.problem.held_out[:residual, :residual].tocsr()
        self.held_leaf_slope = self.problem.held_out[:, [residual]].toarray()[:residual, 0]
        self.held_constant = float(self.problem.held_out[residual, residual])
        self.held_sums = scipy.sparse.csr_array(self.problem.base)
        n = self.n
        self.held_matrix = numpy.zeros((capacity, capacity))
        self.held_matrix[:n, :n] = (self.problem.base @ self.held_gram @ self.problem.base.T).toarray()
        self.held_slope = numpy.zeros(capacity)
        self.held_slope[:n] = self.problem.base @ self.held_leaf_slope

    def _append_held_out(self, sums: scipy.sparse.csr_array) -> None:
        if self.held_gram is None:
            return
        n, size = self.n, sums.shape[0]
        rows = sums @ self.held_gram
        across = (rows @ self.held_sums.T).toarray()
        self.held_matrix[n : n + size, :n] = across
        self.held_matrix[:n, n : n + size] = across.T
        self.held_matrix[n : n + size, n : n + size] = (rows @ sums.T).toarray()
        self.held_slope[n : n + size] = sums @ self.held_leaf_slope
        self.held_sums = scipy.sparse.vstack((self.held_sums, sums), format="csr")


@dataclasses.dataclass
class _Scored:
    """The candidates of one type and what is known of them; arrays that are updated in place.

    Attributes:
        candidates: of the type.
        coupling: W, ``shape=(capacity, n_candidates, size)``.
        schur: S, ``shape=(n_candidates, size, size)``.
        slope: g, ``shape=(n_candidates, size)``.
        floor: the least pivot that counts, ``shape=(n_candidates, size)``.
        gains: gᵀS⁻¹g, ``shape=(n_candidates,)``.
    """

    candidates: Candidates
    coupling: numpy.ndarray
    schur: numpy.ndarray
    slope: numpy.ndarray
    floor: numpy.ndarray
    gains: numpy.ndarray

    def refresh(self) -> None:
        """The gains from S and g."""
        if not len(self.slope):
            return
        solved = numpy.linalg.solve(self.schur, self.slope[..., None])[..., 0]
        gains = (self.slope * solved).sum(axis=1)
        pivots = self.schur.diagonal(axis1=1, axis2=2)
        self.gains = numpy.where((pivots > self.floor).all(axis=1), gains, 0.0)


def _make_sums(columns: numpy.ndarray, n_columns: int) -> scipy.sparse.csr_array:
    """The matrix that sums leaf columns, ``(size, n_leaves) -> (size, n_columns)``."""
    size, n_leaves = columns.shape
    values = numpy.ones(columns.size)
    return scipy.sparse.csr_array(
        (values, (numpy.repeat(numpy.arange(size), n_leaves), columns.ravel())), shape=(size, n_columns)
    )

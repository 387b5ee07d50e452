"""What determines the decisions of a campaign."""

import dataclasses

UNCERTAINTIES = ("energies", "forces", "random")
"""By what structures are chosen: the members' disagreement on energies or on forces, or by chance, as a control."""


@dataclasses.dataclass(frozen=True)
class SteeringSettings:
    """What determines the decisions of a campaign, all of it.

    Attributes:
        seed: of every choice that is left to chance.
        n_members: networks in the ensemble.
        budget: calculations to be paid for in all, those of the initial set included.
        n_quantum_workers: calculations under way at a time.
        n_samplers: runs of dynamics under way at a time.
        retrain_interval: labels after which the ensemble is trained anew.
        n_labels_ahead: labels that may be paid for while a training is under way; 0 waits for the new models, which is
            right where a label costs less than a training.
        audit: whether the end of each run of dynamics is checked by a calculation before the next run goes on from it.
        audit_share: of the calculations that are drawn from the audits, where there is something else to draw.
        energy_tolerance: [kcal/mol] per atom; an audit passes where the model's error is less.
        min_run_length, max_run_length: [steps] of a run of dynamics; without audits all have the latter.
        uncertainty: one of ``UNCERTAINTIES``.
        n_frames_per_run: of a run of dynamics, at most so many may be chosen from: a pool is to come from many runs.
        chunk_size: frames that are predicted in one task.
        n_chunks: of frames by dynamics of the present models, before anything is chosen.
        max_pool: frames that wait for a choice; sampling rests where there are more.
        max_failed_fraction: of the calculations; with more failures the campaign stops.
        max_failures: in a row, without any progress, after which a trajectory is retired.
    """

    seed: int
    n_members: int
    budget: int
    n_quantum_workers: int
    n_samplers: int
    retrain_interval: int
    n_labels_ahead: int
    audit: bool
    audit_share: float
    energy_tolerance: float
    min_run_length: int
    max_run_length: int
    uncertainty: str
    n_frames_per_run: int
    chunk_size: int
    n_chunks: int
    max_pool: int
    max_failed_fraction: float
    max_failures: int

"""The fit: the loss, priors, optimisers, the exact solve, error bars, and what a run of it writes.

May use ``sufficient_statistics`` and below.
"""

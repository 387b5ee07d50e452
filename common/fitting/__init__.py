"""The fit: the loss, priors, optimisers, the exact solve, error bars, and what a run of it writes.

A new way to minimise the loss is a method in ``methods``; a new term of the loss goes to ``objective`` or ``priors``.

May use ``sufficient_statistics`` and below.
"""

"""Active learning: ensembles trained, frames sampled, the right ones labelled, and again; campaigns and comparisons.

May use everything below, and no other system.
"""

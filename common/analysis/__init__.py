"""Stage 005: errors of force fields recomputed from data and files alone, what a fit changed, the report.

May use everything below but trusts neither the pass nor the fit: energies and forces are computed anew.
"""

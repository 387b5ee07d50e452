"""Stage 005: errors of force fields recomputed from data and files alone, what a fit changed, the report.

May use what lies below ``sufficient_statistics``, but neither that nor the fit, which it checks: energies and forces
are computed anew.
"""

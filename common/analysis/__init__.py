"""Stage 005: errors of force fields recomputed from data and files alone, what a fit changed, the report.

Uses neither the pass nor the fit, which it checks; of what lies below, everything but ``interop``, the simulations and
the potentials. Energies and forces are computed anew.
"""

"""How good potentials of rigid bodies are in use: cuts, parity, rollouts, ensembles, cost, and the report.

May use ``pair_networks``, ``body_trajectories``, ``dynamics`` and below; knows nothing of how potentials are trained.
"""

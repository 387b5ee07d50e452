"""Pair potentials of rigid bodies, learned from trajectories by gradients through the equations of motion.

May use ``pair_networks``, ``body_trajectories``, ``dynamics`` and below; it does not know the systems beside it.
"""

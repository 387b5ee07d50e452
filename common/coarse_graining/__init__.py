"""Pair potentials of rigid bodies, learned from trajectories by gradients through the equations of motion.

May use ``body_trajectories``, ``dynamics``, ``potentials`` and below; the systems beside it it does not know.
"""

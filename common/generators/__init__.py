"""The network that places atoms one after another: conditions, trajectories, losses, training, its file.

May use ``neural``, ``runs``, ``data`` and below. What is done with a trained one belongs to ``generation``.
"""

"""The folder of any run: names, settings, checkpoints, TensorBoard.

May use ``data``, ``forcefields`` and below; knows nothing of the exact fit.
"""

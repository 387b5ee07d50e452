"""Any run of any stage: its settings and options, its folder and name, checkpoints, curves, TensorBoard.

What is set, what determines the result and what may change on resume is decided here for all stages; which settings a
stage has stands at the top of its script.

May use ``data``, ``forcefields`` and below; knows nothing of the exact fit.
"""

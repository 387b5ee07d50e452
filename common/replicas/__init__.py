"""Replicas of one system: the reference they start from, epochs with failures, how long they live, their evaluation.

May use ``interop``, ``dynamics``, ``potentials`` and below; knows nothing of learning.
"""

"""What is measured on frames: distributions, moments, signs of failure, correlations in time.

May use ``data``, ``geometry`` and below; knows nothing of potentials and of why something is measured.
"""

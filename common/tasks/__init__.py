"""What a worker of a campaign does: one label, one network trained, one run of dynamics, one chunk of frames predicted.

May use ``calculators``, ``dynamics``, ``potentials`` and below; knows nothing of why it is wanted.
"""

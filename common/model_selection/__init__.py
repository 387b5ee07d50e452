"""What the data say of choices that a fit is given: how strongly its priors hold, and whether its splits can judge it.

A new way to choose is a criterion in ``prior_choice``.

May use ``fitting`` and below.
"""

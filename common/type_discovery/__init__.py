"""Discovery of types: which parameters should be split, by what, and what each split is worth.

The pass runs once at the grain of leaves, sets of interactions that no candidate tells apart; after that the gain of
any split of any parameter is a Schur complement. May use ``fitting`` and below.
"""

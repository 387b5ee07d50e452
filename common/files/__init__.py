"""What is whole or not there: atomic replacement, tensor files, fingerprints, plain JSON and CSV, provenance.

May use ``common.units`` only.
"""

"""Molecules as chemistry sees them: mapped SMILES and stereochemistry, by RDKit.

May use ``processes`` and below.
"""

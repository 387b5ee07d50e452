"""Molecules as chemistry sees them: mapped SMILES, stereochemistry, starting geometries; all by RDKit.

May use ``processes`` and below.
"""

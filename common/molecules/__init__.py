"""Molecules as chemistry sees them, by RDKit: SMILES and mapped SMILES, stereochemistry, starting geometries.

What needs parameters, energies or tensors belongs upstairs.

May use ``processes`` and below; no torch.
"""

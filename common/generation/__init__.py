"""Molecule generation: molecules to learn from, placement and sampling of new ones, how good they are, the report.

May use everything below its floor; no other system.
"""

"""Energies and forces of a geometry by any level of theory, behind one function; failures and results that are kept.

May use ``data``, ``forcefields`` and below. No program is loaded before a level that needs it is asked for.
"""

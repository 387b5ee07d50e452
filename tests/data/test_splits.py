"""Splits: reproducible, by molecule, whatever the order, the numbering, the source or the stereochemistry."""

import dataclasses

import pytest

from common.data.index import Row
from common.data.splits import SplitRow, SplitSettings, assign_rows, split_molecules
from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles, to_mapped_smiles

ALCOHOLS = [f"{'C' * n}O" for n in range(1, 41)]


def make_mapped(smiles: str, reverse: bool = False) -> str:
    from rdkit import Chem

    mol = from_smiles(smiles)
    order = list(range(mol.GetNumAtoms()))
    return to_mapped_smiles(Chem.RenumberAtoms(mol, order[::-1] if reverse else order))


def test_fractions_are_kept_and_order_does_not_matter():
    smiles = [make_mapped(one) for one in ALCOHOLS]
    splits = split_molecules(smiles, SplitSettings(0.1, 0.2, 0))
    assert sorted(splits.values()).count("test") == 8
    assert sorted(splits.values()).count("validation") == 4
    assert split_molecules(reversed(smiles), SplitSettings(0.1, 0.2, 0)) == splits
    assert split_molecules(smiles, SplitSettings(0.1, 0.2, 1)) != splits


def test_other_numberings_and_stereoisomers_stay_together():
    smiles = [make_mapped(one) for one in ALCOHOLS]
    others = [make_mapped(one, reverse=True) for one in ALCOHOLS]
    chiral = [make_mapped("C[C@H](N)O"), make_mapped("C[C@@H](N)O", reverse=True), make_mapped("CC(N)O")]
    for seed in range(5):
        splits = split_molecules([*smiles, *others, *chiral], SplitSettings(0.2, 0.2, seed))
        assert [splits[one] for one in smiles] == [splits[one] for one in others]
        assert len({splits[one] for one in chiral}) == 1
    assert from_mapped_smiles(chiral[0]).GetNumAtoms() == from_mapped_smiles(chiral[1]).GetNumAtoms()


def test_adding_a_molecule_disturbs_few():
    smiles = [make_mapped(one) for one in ALCOHOLS]
    before = split_molecules(smiles, SplitSettings(0.1, 0.1, 0))
    after = split_molecules([*smiles, make_mapped("c1ccccc1")], SplitSettings(0.1, 0.1, 0))
    assert sum(before[one] != after[one] for one in smiles) <= 2


def test_what_only_one_molecule_has_stays_in_training():
    smiles = [make_mapped(one) for one in ALCOHOLS]
    features = {one: {"alcohol", f"pair {i // 2}"} for i, one in enumerate(smiles)}
    features[smiles[0]].add("alone")
    for seed in range(5):
        splits = split_molecules(smiles, SplitSettings(0.1, 0.2, seed), features)
        assert sorted(splits.values()).count("test") == 8
        trained = set().union(*(features[one] for one in smiles if splits[one] == "train"))
        assert trained == set().union(*features.values())


def test_a_feature_of_every_molecule_does_no_harm_and_too_many_shrink_the_sets():
    smiles = [make_mapped(one) for one in ALCOHOLS]
    common = {one: {"alcohol"} for one in smiles}
    settings = SplitSettings(0.1, 0.2)
    plain = split_molecules(smiles, settings)
    assert split_molecules(smiles, settings, common) == plain
    own = {one: {one} for one in smiles}
    assert set(split_molecules(smiles, settings, own).values()) == {"train"}
    assert split_molecules(smiles, dataclasses.replace(settings, keep_exercised=False), own) == plain


@pytest.mark.parametrize("fractions", [(-0.1, 0.1), (0.5, 0.5), (0.9, 0.2)])
def test_impossible_fractions_are_refused(fractions):
    with pytest.raises(ValueError, match="split fractions"):
        split_molecules([], SplitSettings(*fractions))


def test_rows_get_the_split_of_their_molecule():
    rows = [Row("one", 0, "x", 2, 30), Row("two", 7, "y", 1, 3)]
    assigned = assign_rows(rows, {"x": "train", "y": "test"}.__getitem__)
    assert assigned == [SplitRow("one", 0, "x", 2, 30, "train"), SplitRow("two", 7, "y", 1, 3, "test")]
    assert assigned[0].fits(5)


def test_strata_give_their_share_to_each_split():
    smiles = [make_mapped(one) for one in ALCOHOLS]
    sources = {one: ["small"] if i < 10 else ["large", "both"] if i < 20 else ["large"] for i, one in enumerate(smiles)}
    settings = SplitSettings(0.1, 0.2, 0, stratify=True)
    splits = split_molecules(smiles, settings, sources=sources)
    counts = [[splits[one] for one in part].count("test") for part in (smiles[:10], smiles[10:20], smiles[20:])]
    assert counts == [2, 2, 4]
    assert [splits[one] for one in smiles[:10]].count("validation") == 1
    plain = dataclasses.replace(settings, stratify=False)
    assert split_molecules(smiles, plain, sources=sources) == split_molecules(smiles, plain)


def test_strata_keep_what_training_needs():
    smiles = [make_mapped(one) for one in ALCOHOLS[:10]]
    sources = dict.fromkeys(smiles, ("one",))
    features = {one: {i} for i, one in enumerate(smiles[:9])}
    splits = split_molecules(smiles, SplitSettings(0.0, 0.5, 0, stratify=True), features | {smiles[9]: set()}, sources)
    assert [one for one, split in splits.items() if split == "test"] == [smiles[9]]

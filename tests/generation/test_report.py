"""The report: metrics.json holds what the molecules are, and the page and the console say the same."""

import dataclasses
import json

import numpy
import pytest

from common.data.molecule_database import Database, Molecule
from common.generation.assessment import Examined, assess, assess_reference, examine, make_namer
from common.generation.comparison import describe
from common.generation.refinement import Refined
from common.generation.report import Aim, Results, compute_rank_correlation, write_report
from common.generation.samples import compute_quantity
from common.generation.sampling import Generated
from common.molecules.mapped_smiles import perceive, to_mapped_smiles
from common.molecules.perception import PerceptionSettings
from tests.generators.made_up import make_geometry

TRAIN = ("CO", "CC", "CCO", "C=O")
GENERATED = (("CO", 8.0), ("C=O", 3.0), ("CCO", 8.0), ("C=C", 3.0))

FIGURES = {"sizes.svg", "groups.svg", "target-gap.svg", "molecules.svg"}


def make_molecule(smiles, **data):
    own = make_geometry(smiles)
    return Molecule(own.numbers, own.coords, {"gap": numpy.array(5.0)}, smiles, data)


@pytest.fixture(scope="module")
def results():
    name = make_namer(True, False)
    train = [make_molecule(smiles) for smiles in TRAIN]
    made = [make_molecule(smiles, targets={"gap": gap, "formula": "C2H6O"}) for smiles, gap in GENERATED]
    check = PerceptionSettings()
    examined = [*(examine(make_geometry(smiles), check) for smiles, _ in GENERATED), Examined("radical")]
    made.append(make_molecule("CC", targets={"gap": 3.0, "formula": "C2H6O"}))
    of_data = [examine(make_geometry(smiles), check) for smiles in TRAIN]
    refined = {
        0: Refined("", 0.1, 5.0, 20.0, 30, True, {"gap": 8.0}, {"gap": 9.0}),
        1: Refined("", 0.3, 7.0, 40.0, 50, False, {"gap": 3.0}, {"gap": 4.0}),
        2: Refined("not converged"),
    }
    return Results(
        title="Molecules",
        assessment=assess(examined, 6, name, {"CO", "CC", "CCO"}, {"C=O"}),
        reference=assess_reference(of_data, name, 5, numpy.random.default_rng(0)),
        n_held_out=1,
        generated=describe(examined),
        data=describe(of_data),
        molecules=made,
        examined=examined,
        refined=refined,
        database=Database(train, {"gap": "eV"}, {}),
        train=[0, 1, 2],
        coverage=None,
        drawn=[(to_mapped_smiles(perceive(examined[0].mol)), "gap 8")],
    )


def test_metrics_are_those_of_the_molecules(results, tmp_path):
    write_report(tmp_path, results)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["rates"]["valid"]["generated"]["count"] == 4
    assert metrics["rates"]["valid"]["generated"]["total"] == 6
    assert metrics["reasons"] == {"radical": 1, "given up": 1}
    assert metrics["held_out"] == {"found": 1, "total": 1}
    assert metrics["composition"]["generated"]["atoms"] == pytest.approx((6 + 4 + 9 + 6) / 4)
    assert metrics["composition"]["data"]["elements"]["O"] == pytest.approx(3 / (6 + 8 + 9 + 4))
    relaxation = metrics["relaxation"]
    assert (relaxation["converged"]["count"], relaxation["converged"]["total"]) == (2, 3)
    assert (relaxation["same"]["count"], relaxation["same"]["total"]) == (1, 2)
    assert relaxation["rmsd"] == pytest.approx([0.15, 0.2, 0.25])
    aims = {(aim["name"], aim["target"]): aim for aim in metrics["aims"]}
    high = [
        compute_quantity(Generated(0, own.numbers, own.coords, True), "gap")
        for own in (make_geometry("CO"), make_geometry("CCO"))
    ]
    assert aims["gap", "8"]["quartiles"][1] == pytest.approx(numpy.median(high))
    assert aims["gap", "8"]["relaxed"] == [9.0] * 3  # the other did not converge
    assert aims["gap", "3"]["n_valid"] == 2
    assert set(metrics["rank_correlations"]) == {"gap"}
    assert metrics["rank_correlations"]["gap"] > 0.8  # saturated molecules aim at the higher
    assert (aims["formula", "C2H6O"]["hit"]["count"], aims["formula", "C2H6O"]["hit"]["total"]) == (1, 5)
    assert aims["formula", "C2H6O"]["in_data"] == pytest.approx(1 / 3)


def test_the_page_has_all_figures_and_needs_nothing_else(results, tmp_path):
    write_report(tmp_path, results)
    page = (tmp_path / "report.html").read_text()
    assert {path.name for path in (tmp_path / "figures").iterdir()} == FIGURES
    assert page.count("data:image/svg+xml") == 3 + 1
    assert "<figcaption>gap 8</figcaption>" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_the_console_has_the_rates_of_both(results):
    lines = results.summarise()
    (valid,) = (line for line in lines if line.startswith("valid"))
    assert valid.split("  ")[-1].strip().startswith("1.000")  # of the data
    assert "0.667 (0.300 to 0.903)" in valid  # Wilson's interval of 4 of 6
    assert any("1 of 1" in line for line in lines)
    nothing = dataclasses.replace(results, generated=describe([]))
    (atoms,) = (line for line in nothing.summarise() if line.startswith("atoms"))
    assert atoms.split()[4] == "–"  # and not what the data have
    assert "6.33" not in atoms.split("–")[0]


def test_the_rank_correlation_is_over_all_molecules():
    aims = [Aim("gap", "3", 2, value=3.0, values=(1.0, 2.0)), Aim("gap", "8", 2, value=8.0, values=(3.0, 4.0))]
    assert compute_rank_correlation(aims) == pytest.approx(0.8944, abs=1e-4)  # 2/sqrt(5): two pairs of ties
    assert compute_rank_correlation(aims[:1]) is None
    assert compute_rank_correlation([]) is None
    assert compute_rank_correlation([aims[0], Aim("gap", "8", 0, value=8.0)]) is None  # nothing came of the second
    same = [Aim("gap", "3", 1, value=3.0, values=(2.0,)), Aim("gap", "8", 1, value=8.0, values=(2.0,))]
    assert compute_rank_correlation(same) is None

"""Simulate with learned potentials, and say how good they are: cuts, parity, rollouts, distributions, a liquid, cost.

Reads   outputs/coarse-graining/<run>/          what 032-coarse-grain.py wrote, and the trajectories that it used
Writes  outputs/rollouts/<timestamp>/           report.html (read this), metrics.json, figures/

    python 033-roll-out.py                                          the latest finished run
    python 033-roll-out.py --runs RUN RUN                           several side by side: methods, inputs, data
    python 033-roll-out.py --force-fields outputs/runs/RUN          and the sum over sites with other force fields

Everything is compared with the sum over all sites, where that is known. About four minutes for one run on one core,
half of it the distributions; --n-chains and --liquid-frames 0 shorten it.
"""

import dataclasses
import pathlib
import time

from common.body_trajectories.recipes import build_rigid_molecules, read_molecule
from common.body_trajectories.trajectories import Trajectories
from common.coarse_graining.data import load_splits
from common.pair_networks.potential import load_learned_potential
from common.processes.memory import format_peak_memory
from common.processes.stage import run_stage
from common.reporting.console import point_to_report
from common.rollouts.candidates import Candidate, load_candidate
from common.rollouts.report import list_headlines
from common.rollouts.study import REPORT, Study, StudySettings
from common.runs.folder import find_latest_run
from common.runs.names import label_runs
from common.runs.options import read_settings
from common.runs.settings import AtLeastOne, Machine, NonNegative, Positive, StageSettings

OUTPUTS = pathlib.Path("outputs")


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """What is simulated. Times are in intervals of the frames, so that they suit any system."""

    runs: tuple[pathlib.Path, ...] = ()  # run folders, or potential files; none: the latest finished run
    names: tuple[str, ...] = ()  # of the runs, in the report; none: by what sets them apart
    force_fields: tuple[pathlib.Path, ...] = ()  # .pt, runs of 004 or .offxml: sums over sites to compare with
    step: Positive[float] = 0.25  # [intervals] of the integrator
    rollout_length: Positive[float] = 100.0  # [intervals] of rollouts against true trajectories
    short_time: Positive[float] = 10.0  # [intervals] at which their error is told
    long_length: Positive[float] = 2000.0  # [intervals] of rollouts that show whether motion stays bounded
    n_long: AtLeastOne[int] = 16  # of these
    n_chains: NonNegative[int] = 96  # of Langevin dynamics of pairs; 0: no distributions
    chain_length: Positive[float] = 1000.0  # [intervals] that are kept of each
    chain_step: Positive[float] = 0.5  # [intervals] of Langevin dynamics
    friction: Positive[float] = 0.05  # [1 / interval] of Langevin dynamics
    liquid_bodies: NonNegative[int] = 27  # in a box
    liquid_frames: NonNegative[int] = 100  # two intervals apart; 0: no liquid
    liquid_box: Positive[float] | None = None  # [length]; None: by the distances of the data
    seed: NonNegative[int] = 0  # of noise and places
    folder: Machine[pathlib.Path | None] = None  # trajectories; None: those that the first run used
    output: Machine[pathlib.Path] = OUTPUTS / "rollouts"  # folder of reports
    learned: Machine[pathlib.Path] = OUTPUTS / "coarse-graining"  # folder of runs, where none is named

    def check(self) -> None:
        if self.n_chains == 1:
            raise ValueError("n_chains = 1: intervals need two chains at least; 0 for no distributions")
        if self.names and len(self.names) != max(1, len(self.runs)):
            raise ValueError(f"names: {len(self.names)} for {max(1, len(self.runs))} runs")
        if len(set(self.names)) < len(self.names):
            raise ValueError("names: two of them are the same")

    @property
    def study(self) -> StudySettings:
        """How much is simulated."""
        return StudySettings(**{field.name: getattr(self, field.name) for field in dataclasses.fields(StudySettings)})


def load_candidates(settings: Settings) -> tuple[list[Candidate], Trajectories]:
    """The learned potentials and sums over sites that are compared, and the test trajectories of the first."""
    paths = list(settings.runs) or [find_latest_run(settings.learned)]
    _, record = load_learned_potential(paths[0] if paths[0].is_file() else paths[0] / "potential.pt")
    data = load_splits(settings.folder or pathlib.Path(record["config"]["folder"]), 0)[0]["test"]
    names = settings.names or label_runs([path.stem if path.is_file() else path.name for path in paths])
    candidates = [load_candidate(path, name, data) for path, name in zip(paths, names, strict=True)]
    for path in settings.force_fields:
        smiles, molecules = read_molecule(data.system.bodies[0].name, path)
        sites = build_rigid_molecules(smiles, molecules, len(data.system.bodies), data.system.spring)
        candidates.append(Candidate(f"sites of {path.stem}", None, sites, {}))
    return candidates, data


def main() -> None:
    settings = read_settings(Settings)
    start = time.perf_counter()
    candidates, data = load_candidates(settings)
    study = Study(settings.study, candidates, data)
    study.run()
    folder = study.write(settings.output)
    for line in list_headlines(study.metrics):
        print(line)
    print(f"{time.perf_counter() - start:.0f} s, peak memory {format_peak_memory()}")
    print(point_to_report(folder / REPORT))


if __name__ == "__main__":
    run_stage(main)

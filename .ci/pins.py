"""Whether every pin of requirements.txt has a wheel for each Python that is promised; nothing is installed.

torch is looked up in the index alone, where its wheels, of gigabytes, stay.
"""

import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]
VERSIONS = ("3.11", "3.12", "3.13")
WHEELS = "--only-binary=:all:"


def run_pip(*arguments: str) -> str:
    """What pip says.

    Raises:
        SystemExit: it fails; its last line says why.
    """
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"pip {' '.join(arguments)}\n{done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def main() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if "==" in line and not line.startswith("#")]
    [torch] = [pin for pin in pins if pin.startswith("torch==")]
    for version in VERSIONS:
        python = f"--python-version={version}"
        found = run_pip("index", "versions", "torch", python, WHEELS)
        if torch.partition("==")[2] not in [each.strip(" ,") for each in found.replace("\n", " ").split(" ")]:
            raise SystemExit(f"{torch}: no wheel for Python {version}")
        with tempfile.TemporaryDirectory() as folder:
            where = ("--target", folder, "--ignore-installed", "--no-deps")
            run_pip("install", "--dry-run", "--quiet", python, WHEELS, *where, *(set(pins) - {torch}))
        print(f"Python {version}: all {len(pins)} pins have wheels", flush=True)


if __name__ == "__main__":
    main()

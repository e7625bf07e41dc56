"""examples/cluster: what a checker reads is valid, and what is a script runs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from cufft_harness.fleet.styles import Style

from repro.matrix import slurm as array_job

EXAMPLES = Path(__file__).parent.parent / "examples" / "cluster"


@pytest.fixture
def pretend(tmp_path: Path) -> dict[str, str]:
    """A folder first on the scripts' path whose `cufft-harness` fails with a cause, and whose scontrol writes down."""
    check = '#!/bin/sh\necho "$@" >> "$LOG"\necho "GPU 3: hung; cause: x"\nexit ${STATUS:-1}\n'
    for name, text in {"cufft-harness": check, "scontrol": '#!/bin/sh\necho "$@" >> "$LOG"\n'}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    return {**os.environ, "CUFFT_HARNESS_PATH": path, "LOG": str(tmp_path / "log"), "SLURMD_NODENAME": "n7"}


def run(script: str, env: dict[str, str], *arguments: str) -> int:
    return subprocess.run(["sh", str(EXAMPLES / script), *arguments], env=env, check=False).returncode


def test_slurms_health_check_drains_with_the_cause(pretend: dict[str, str]):
    """A failing check becomes the reason of a drained node; a passing one changes nothing."""
    run("slurm/health_check.sh", pretend)
    log = Path(pretend["LOG"]).read_text()
    assert "check --style slurm" in log
    assert "update NodeName=n7 State=DRAIN Reason=cufft-harness: GPU 3: hung; cause: x" in log
    run("slurm/health_check.sh", {**pretend, "STATUS": "0"})
    assert Path(pretend["LOG"]).read_text().count("DRAIN") == 1


def test_slurms_prolog_leaves_with_the_checks_status(pretend: dict[str, str]):
    """Nonzero keeps the job off the node."""
    assert run("slurm/prolog.sh", pretend) == 1
    assert run("slurm/prolog.sh", {**pretend, "STATUS": "0"}) == 0


def test_prometheus_gets_a_gauge(pretend: dict[str, str], tmp_path: Path):
    """One metric, whole or not there, 0 where the check fails."""
    (tmp_path / "textfiles").mkdir()
    run("prometheus/textfile.sh", pretend, str(tmp_path / "textfiles"))
    assert [path.name for path in (tmp_path / "textfiles").iterdir()] == ["cufft.prom"]
    assert "cufft_works 0" in (tmp_path / "textfiles" / "cufft.prom").read_text()


def test_node_problem_detector_reads_the_plugin():
    """The fields of its custom plugin configuration, a style that exists, and a time limit within its own."""
    config = json.loads((EXAMPLES / "node-problem-detector" / "cufft.json").read_text())
    assert config["plugin"] == "custom"
    (rule,) = config["rules"]
    assert rule["condition"] in {condition["type"] for condition in config["conditions"]}
    assert Style(rule["args"][rule["args"].index("--style") + 1]) is Style.NPD
    limit = int(rule["args"][rule["args"].index("--limit") + 1])
    assert limit < int(rule["timeout"].rstrip("s")) < int(config["pluginConfig"]["timeout"].rstrip("s"))


def test_the_daemonset_is_one():
    """Selector and labels agree, and the driver's compute files are asked for."""
    manifest = yaml.safe_load((EXAMPLES / "kubernetes" / "daemonset.yaml").read_text())
    assert manifest["kind"] == "DaemonSet"
    template = manifest["spec"]["template"]
    assert manifest["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    environment = {one["name"]: one.get("value") for one in template["spec"]["containers"][0]["env"]}
    assert "compute" in environment["NVIDIA_DRIVER_CAPABILITIES"]


def test_an_array_job_has_a_task_a_release():
    """The task's number chooses the release; flags and folder are quoted."""
    script = array_job.script(["2.8.0", "2.11.0"], ["--no-tts", "-k", "stft or istft"])
    assert "rows=(2.8.0 2.11.0)" in script
    assert "'stft or istft'" in script
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0

"""What each row ran on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repro.report.document import Sources

SHOWN = ("torchaudio", "TTS", "coqui-tts", "transformers", "numpy")


def data(sources: Sources) -> dict[str, Any] | None:
    """The machines, and per run the packages that matter and the libraries that were really loaded."""
    if not sources.evidence.runs:
        return None
    machines = sorted({_machine(run.content["machine"]) for run in sources.evidence.runs if run.content.get("machine")})
    rows = []
    for release in sources.evidence.releases:
        for run in release.runs:
            versions = dict(one.split("==", 1) for one in run.content.get("packages", []))
            rows.append(
                {
                    "file": run.file,
                    "torch": run.content.get("environment", {}).get("torch", release.torch),
                    "loaded": ", ".join(run.content.get("environment", {}).get("loaded", [])) or "–",
                    "get_version": run.content.get("cufft", {}).get("get_version", "–"),
                    "packages": ", ".join(f"{name} {versions[name]}" for name in SHOWN if name in versions) or "–",
                    "status": run.status,
                    "date": run.content["started"][:10],
                }
            )
    return {"machines": machines, "rows": rows}


def _machine(facts: dict[str, Any]) -> str:
    gpu = f"{facts['gpu']}, driver {facts['driver']} (CUDA {facts['driver_cuda']})" if facts.get("gpu") else "no GPU"
    return f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gb']} GB, {facts['system']}, {gpu}"

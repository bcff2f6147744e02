"""Results as text: the targets above, then a block for every case."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.cases import ON_CPU
from bench.meter import STAGES
from bench.targets import peak_gb, targets_of, warm_s

NAMES = {
    "stock": "nnunetv2",
    "torch": "nnunetv2, torch resampling",
    "exact": "segnode exact",
    "equal": "segnode equal",
    "fast": "segnode fast",
    ON_CPU: "segnode exact, on the CPU",
}
WIDTH = 28
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- bench -->\n", "<!-- /bench -->"
Results = Mapping[str, Any]


def table_of(results: Results) -> str:
    """Write everything that was measured as a table."""
    lines = [machine_line(results["machine"]), "", "targets"]
    lines += [target.line for target in targets_of(results)]
    for name, case in results["cases"].items():
        lines += ["", *_case(name, case)]
    lines += ["", *_others(results)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def page_with(results: Results) -> str:
    """Put the table into the page of the documentation, and return the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}```text\n{table_of(results)}```\n{END}{rest.partition(END)[2]}"


def machine_line(machine: Results) -> str:
    """Describe the machine, as `bench.machine` found it."""
    amx = ", AMX" if machine["amx_bf16"] else ""
    return (
        f"{machine['cpu']}, {machine['cores']} cores{amx}, {machine['memory_gb']:.0f} GB; "
        f"GPU: {machine['gpu'] or 'none'}; torch {machine['torch']}, {machine['threads']} threads\n"
        f"moves {machine['moved_gb_per_s']:.1f} GB/s, matrix products {machine['single_gflop_per_s']:.0f} GFLOP/s "
        f"in single and {machine['double_gflop_per_s']:.0f} in double precision"
    )


def _case(name: str, case: Results) -> list[str]:
    lines = [f"{name}: {case['what']}", head_of()]
    for row, figures in case["rows"].items():
        lines.append(f"  {NAMES[row]:<{WIDTH}}{figures_of(figures)}")
    for kind, floor in case.get("floors", {}).items():
        lines.append(f"  floor of {kind:<11}{floor['seconds']:>9.3f} s: {floor['why']}")
    return lines


def head_of() -> str:
    """Write the head of a case's rows."""
    return (
        f"  {'seconds, warm (cold)':<{WIDTH}}"
        + "".join(f"{stage:>16}" for stage in STAGES)
        + f"{'peak GB':>9}{'GPU GB':>8}{'boundary':>10}  agreement with nnunetv2"
    )


def figures_of(row: Results) -> str:
    """Write the figures of a row below that head."""
    if "ended" in row:
        return f"  {row['ended']} in {row['stage']}, at {row['peak_gb']:.1f} GB (limit {row['limit_gb']:.1f} GB)"
    cells = []
    for stage in STAGES:
        cold = row["runs"][0]["seconds"].get(stage)
        warm = f"{warm_s(row, stage):.2f} " if any(stage in run["seconds"] for run in row["runs"][1:]) else ""
        cells.append(f"{'-' if cold is None else f'{warm}({cold:.2f})':>16}")
    gpu = max((value for run in row["runs"] for value in run["gpu_gb"].values()), default=0.0)
    return (
        "".join(cells)
        + f"{peak_gb(row, STAGES):>9.2f}"
        + (f"{gpu:>8.2f}" if gpu else f"{'-':>8}")
        + f"{row['boundary_share']:>10.1%}  {_agreement(row)}"
    )


def _agreement(row: Results) -> str:
    if "labels_differ" not in row:
        return ""
    parts = [f"{row['labels_differ']} of {row['voxels']} labels differ"]
    if "planes_equal" in row:
        parts.append(
            f"image within {row['data_sd']:.0e} sd, {row['planes_equal']} of {row['planes']} planes of logits equal"
        )
    return "; ".join(parts)


def _others(results: Results) -> list[str]:
    lines = []
    if cold := results.get("cold_start"):
        lines.append(
            f"cold start: segnode run {cold['segnode_run_s']:.2f} s to the first tile, "
            f"of which its imports of torch and monai.deploy.core {cold['imports_s']:.2f} s"
        )
    if seg := results.get("seg_writing"):
        lines.append(
            f"SEG of {seg['shape'][0]} slices, {seg['segments']} segments, {seg['frames']} frames, "
            f"{seg['file_mb']:.0f} MB: made in {seg['build_s']:.2f} s, written in {seg['write_s']:.2f} s; "
            f"numpy.packbits {seg['packbits_s']:.2f} s"
        )
    if after := results.get("postprocessing"):
        steps = ", ".join(f"{name.partition(' ')[2]} {seconds:.2f} s" for name, seconds in after["steps"].items())
        lines.append(f"post-processing of {after['shape'][0]} slices: {after['total_s']:.2f} s ({steps})")
    return lines

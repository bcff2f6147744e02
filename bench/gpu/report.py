"""The results of `bench/gpu.sh` as text: the targets above, then what was measured, or why it was not."""

from collections.abc import Mapping
from typing import Any

from bench.cases import ON_CPU
from bench.table import NAMES, WIDTH, figures_of, head_of, machine_line
from bench.targets import TIMED, Target, ratio

Results = Mapping[str, Any]


def report_of(results: Results) -> str:
    """Write everything that was measured, or why it was not."""
    machine = results["machine"].get("cuda") or results["machine"].get("cpu", {})
    lines = [machine_line(machine) if "cpu" in machine else f"the machine: {_why(machine)}", "", "targets"]
    lines += [target.line for target in targets_of(results)]
    lines += ["", *_dicom_to_seg(results.get("dicom_to_seg", {})), "", *_table(results.get("table", {}))]
    for name, figures in results.get("peers", {}).items():
        said = "not installed" if "not_installed" in figures else _why(figures) or _one_line(figures)
        lines.append(f"  {name:<{WIDTH}}  {said}")
    for step in ("parity", "options", "components"):
        lines += ["", step, *(f"  {n:<{WIDTH}}{_why(f) or _one_line(f)}" for n, f in results.get(step, {}).items())]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def targets_of(results: Results) -> list[Target]:
    """List the targets; none is measured on a machine without a GPU."""
    known = results if results.get("machine", {}).get("cuda", {}).get("gpu") else {}
    large, small = (known.get("dicom_to_seg", {}).get(item, {}) for item in ("large", "small"))
    table, kinds = known.get("table", {}), known.get("parity", {})
    outside = [f["labels_differ"] > f["stock_differs_from_itself"] for f in kinds.values() if "labels_differ" in f]
    whole = bool(outside) and len(outside) == len(kinds)
    return [
        Target("DICOM to SEG, five parts, 531 slices, warm", "at most", 40, "s", large.get("warm", {}).get("all_s")),
        Target("DICOM to SEG, five parts, 60 slices, warm", "at most", 2, "s", small.get("warm", {}).get("all_s")),
        Target("RAM, five parts, 531 slices", "at most", 3, "GB", large.get("ram_gb")),
        Target("GPU memory, five parts, 531 slices", "at most", 8, "GB", large.get("gpu_gb")),
        Target("preprocess + labels against the CPU", "at least", 12, "times faster",
               ratio(table.get(ON_CPU), table.get("exact"), TIMED)),
        Target("kinds of model of which more labels differ than nnU-Net's own do from each other", "at most", 0,
               "kinds", float(sum(outside)) if whole else None),
    ]  # fmt: skip


def _dicom_to_seg(items: Results) -> list[str]:
    lines = ["DICOM to SEG, five parts of 117 structures: seconds warm (cold), RAM and GPU memory in GB"]
    for name, figures in items.items():
        if said := _why(figures):
            lines.append(f"  {name:<{WIDTH}}{said}")
            continue
        stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in figures["warm"]["stages_s"].items())
        gpu = "-" if figures["gpu_gb"] is None else f"{figures['gpu_gb']:.2f}"
        seconds = f"{figures['warm']['all_s']:.2f} ({figures['cold']['all_s']:.2f})"
        lines.append(f"  {name:<{WIDTH}}{seconds:>16}  {figures['ram_gb']:.2f}  {gpu}  of it: {stages}")
    return lines


def _table(rows: Results) -> list[str]:
    if not rows:
        return ["table: no row"]
    what = next((figures["what"] for figures in rows.values() if "what" in figures), "")
    lines = [f"table: {what}", head_of()]
    for row, figures in rows.items():
        lines.append(
            f"  {NAMES[row]:<{WIDTH}}{'  ' + figures['failed'] if 'failed' in figures else figures_of(figures)}"
        )
    return lines


def _why(figures: Results) -> str:
    return str(figures.get("failed", ""))


def _one_line(figures: Results) -> str:
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in figures.items()
    )

"""The report of a registration: ``report.html`` for people, with pictures, and ``report.json`` for programs."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from core.image_files.reader import read_array
from training.datasets.case import CaseNote, Note
from training.datasets.lock import DatasetLock, LockedCase
from training.datasets.pictures import colour_of, inline, picture_of
from training.datasets.statistics import CaseStatistics
from training.datasets.steady import steadily
from training.datasets.table import IGNORE

REPORT_HTML, REPORT_JSON = "report.html", "report.json"
FIRST, WORST = 3, 4
"""Cases of which pictures are shown."""

FACES = (
    "The files hold no attribute of a patient, but voxels are as they were: images of a head still show the face. Do "
    "not give them away without defacing."
)
_BY = "&nbsp;×&nbsp;"
_WEIGHTS = {
    CaseNote.UNIT_IMPLAUSIBLE: 5,
    CaseNote.EMPTY_MASK: 4,
    CaseNote.INTENSITY_OUTLIER: 3,
    CaseNote.SPACING_OUTLIER: 3,
    CaseNote.CONTOUR_CUT: 2,
    CaseNote.SHARED_SLICES: 2,
    CaseNote.CONTOUR_OF_POINTS: 1,
    CaseNote.EMPTY_STRUCTURE: 1,
    CaseNote.IMAGE_WARNING: 1,
}
"""The weight of each note in the choice of the worst cases; others say nothing of the image."""


def write_report(
    folder: Path,
    lock: DatasetLock,
    notes: Mapping[str, Sequence[Note]],
    statistics: Mapping[str, CaseStatistics],
    unmapped: Mapping[str, int],
    withheld: int,
    without_mask: int,
) -> None:
    """Write both files into the folder of a data set whose cases are written."""
    content = {
        "name": lock.name,
        "version": lock.version,
        "cases": {case: _of_case(lock.cases[case], notes[case], statistics[case]) for case in lock.cases},
        "refused": [one.model_dump() for one in lock.refused],
        "unmapped_names": dict(unmapped),
        "withheld_names": withheld,
        "images_without_mask": without_mask,
        "splits": [split.model_dump(mode="json") for split in lock.splits],
        "warning": FACES,
    }
    (folder / REPORT_JSON).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / REPORT_HTML).write_text(_page(folder, lock, notes, content), encoding="utf-8")


def _of_case(case: LockedCase, notes: Sequence[Note], found: CaseStatistics) -> dict[str, Any]:
    return {
        "source": case.source,
        "patient": case.patient,
        "kind": case.kind,
        "shape": case.shape,
        "spacing_mm": case.spacing,
        "percentiles_1_50_99": found.intensities,
        "voxels": case.voxels,
        "looked_for": case.looked_for,
        "labelled_by": case.labelled_by,
        "notes": [{"code": str(note.code), "sentence": note.code.sentence, "detail": note.detail} for note in notes],
    }


def worst_cases(notes: Mapping[str, Sequence[Note]]) -> list[str]:
    """List the cases that a person should look at first."""
    weights = {case: sum(_WEIGHTS.get(note.code, 0) for note in found) for case, found in notes.items()}
    return [case for case in sorted(weights, key=lambda case: (-weights[case], case)) if weights[case]][:WORST]


def _page(folder: Path, lock: DatasetLock, notes: Mapping[str, Sequence[Note]], content: Mapping[str, Any]) -> str:
    worst = worst_cases(notes)
    first = [case for case in lock.cases if case not in worst][:FIRST]
    parts = [
        f"<h1>{escape(lock.name)} <small>version {lock.short_version}</small></h1>",
        _summary(lock, content),
        f'<p class="warning">{escape(FACES)}</p>',
        _refused(lock),
        _names(content),
        "<h2>Worst cases</h2>" if worst else "<h2>Worst cases</h2><p>No case has a finding on its image or mask.</p>",
        *(_case(folder, lock, case, notes[case]) for case in worst),
        "<h2>First cases</h2>",
        *(_case(folder, lock, case, notes[case]) for case in first),
        _splits(lock),
        _all_cases(lock, notes),
    ]
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(lock.name)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    return f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>{cells}</tbody></table></div>'


def _summary(lock: DatasetLock, content: Mapping[str, Any]) -> str:
    patients = len({case.patient for case in lock.cases.values()})
    facts = [
        (str(len(lock.cases)), "cases"),
        (str(patients), "patients"),
        (str(len(lock.refused)), "refused"),
        (str(content["images_without_mask"]), "images without a mask"),
        (str(len(lock.splits)), "folds"),
    ]
    boxes = "".join(f"<div><b>{number}</b><span>{escape(word)}</span></div>" for number, word in facts)
    values = {label.name: label.value for label in lock.labels}
    names = [*values, *([IGNORE] if lock.ignore is not None else [])]
    rows = []
    for name in names:
        value = lock.ignore if name == IGNORE else values[name]
        drawn = [case.voxels.get(name, 0) for case in lock.cases.values()]
        looked = sum(name in case.looked_for for case in lock.cases.values())
        swatch = "rgb({},{},{})".format(*colour_of(value or 1, lock.ignore))
        rows.append(
            (
                f'<i style="background:{swatch}"></i>&nbsp;{escape(name)}',
                str(value),
                "" if name == IGNORE else f"{looked} of {len(drawn)}",
                f"{sum(count > 0 for count in drawn)} of {len(drawn)}",
                f"{sum(drawn):,}",
            )
        )
    channels = ", ".join(f"{escape(channel.name)} ({escape(channel.unit or 'no unit')})" for channel in lock.channels)
    head = ("Label", "Value", "Looked for in", "Present in", "Voxels")
    return f'<div class="facts">{boxes}</div><p>Channels: {channels}</p>{_table(head, rows)}'


def _refused(lock: DatasetLock) -> str:
    if not lock.refused:
        return "<h2>Refused cases</h2><p>None.</p>"
    rows = [(escape(one.source), f"<code>{escape(one.code)}</code>", escape(one.detail)) for one in lock.refused]
    return f"<h2>Refused cases</h2>{_table(('Source', 'Code', 'Finding'), rows)}"


def _names(content: Mapping[str, Any]) -> str:
    unmapped, withheld = content["unmapped_names"], content["withheld_names"]
    if not unmapped and not withheld:
        return ""
    rows = [(escape(name), str(count)) for name, count in unmapped.items()]
    more = f"<p>{withheld} more hold an attribute of a patient and are not shown.</p>" if withheld else ""
    return (
        "<h2>Names that no label takes</h2><p>What they name is background. If one of them is a label, add it to the "
        f"labels table and register again.</p>{_table(('Name', 'Cases'), rows) if rows else ''}{more}"
    )


def _case(folder: Path, lock: DatasetLock, case: str, notes: Sequence[Note]) -> str:
    image, _ = steadily(lambda: read_array(folder / lock.image_file(case, 0)))
    labels, _ = steadily(lambda: read_array(folder / lock.label_file(case)))
    locked = lock.cases[case]
    png = picture_of(image.astype("float32"), labels, locked.spacing, lock.channels[0].unit, lock.ignore)
    said = "".join(f"<li><code>{note.code}</code> {escape(note.detail or note.code.sentence)}</li>" for note in notes)
    size = _BY.join(map(str, locked.shape))
    spacing = _BY.join(f"{mm:.3g}" for mm in locked.spacing)
    return (
        f'<figure><img alt="Three planes of {escape(case)}" src="{inline(png)}"><figcaption><b>{escape(case)}</b> '
        f"{size} voxels of {spacing} mm<ul>{said}</ul></figcaption></figure>"
    )


def _splits(lock: DatasetLock) -> str:
    if not lock.splits:
        return "<h2>Folds</h2><p>There is one patient alone: only fold <code>all</code> can be trained.</p>"
    rows = []
    for number, split in enumerate(lock.splits):
        sides = [
            f"{_counted(len(side), 'case')} of {_counted(len({lock.cases[case].patient for case in side}), 'patient')}"
            for side in (split.train, split.val)
        ]
        rows.append((str(number), *sides))
    return f"<h2>Folds</h2>{_table(('Fold', 'Train', 'Validate'), rows)}"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _all_cases(lock: DatasetLock, notes: Mapping[str, Sequence[Note]]) -> str:
    rows = [
        (
            escape(case),
            escape(locked.patient),
            _BY.join(map(str, locked.shape)),
            _BY.join(f"{mm:.3g}" for mm in locked.spacing),
            escape(", ".join(f"{name} {count:,}" for name, count in locked.voxels.items() if count)),
            " ".join(dict.fromkeys(f"<code>{note.code}</code>" for note in notes[case])),
        )
        for case, locked in lock.cases.items()
    ]
    head = ("Case", "Patient", "Voxels", "Spacing, mm", "Labels", "Notes")
    return f"<h2>All cases</h2>{_table(head, rows)}"


_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881}
body{font:15px/1.5 system-ui,sans-serif;margin:0}
main{max-width:1100px;margin:0 auto;padding:24px}
h1{font-size:26px;margin:0 0 16px}h1 small{font-weight:400;font-size:15px;opacity:.7}
h2{font-size:19px;margin:32px 0 8px}
.facts{display:flex;flex-wrap:wrap;gap:12px;margin:0 0 12px}
.facts div{border:1px solid var(--line);border-radius:8px;padding:8px 16px;min-width:90px}
.facts b{display:block;font-size:22px}.facts span{opacity:.7}
.warning{border-left:4px solid #d90;background:#d901;padding:8px 12px;border-radius:4px}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:4px 10px;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;background:var(--soft)}
td i{display:inline-block;width:11px;height:11px;border-radius:2px;vertical-align:-1px}
code{font-size:13px;background:var(--soft);padding:1px 5px;border-radius:4px;white-space:nowrap}
figure{margin:12px 0;width:fit-content;max-width:100%;border:1px solid var(--line);border-radius:8px;overflow:hidden}
figure img{display:block;max-width:100%;background:#000}
figcaption{padding:8px 12px}figcaption ul{margin:4px 0 0;padding-left:20px}figcaption ul:empty{display:none}
"""

"""Cases that are left out: their codes and findings, which quote nothing of a header."""

import re
from collections import Counter
from collections.abc import Sequence

from core.errors import CaseCode, CaseRefused
from training.datasets.lock import RefusedCase
from training.datasets.short_ids import ShortIDs

_UID = re.compile(r"\b\d+(?:\.\d+){4,}\b")


def refused_case(ids: ShortIDs, key: str, code: str, detail: str) -> RefusedCase:
    """Write down a case that is left out, its source by short ID."""
    return RefusedCase(source=ids.of("source", key), code=code, detail=_UID.sub("(UID)", detail))


def nothing_left(refused: Sequence[tuple[str, str]]) -> CaseRefused:
    """Build the error of a source without a case, which gives the first finding of each code."""
    if not refused:
        return CaseRefused(CaseCode.NO_MASK, "No SEG, RTSTRUCT or file of a mask was found.")
    counts = Counter(code for code, _ in refused)
    first = {code: _UID.sub("(UID)", detail) for code, detail in reversed(refused)}
    told = " ".join(f"{code} ({count}): {first[code]}" for code, count in counts.most_common())
    known = [code for code, _ in counts.most_common() if code in set(CaseCode)]
    return CaseRefused(CaseCode(known[0]) if known else CaseCode.NO_MASK, f"No case is left. {told}")

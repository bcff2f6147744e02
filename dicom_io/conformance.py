"""The tables of ``docs/conformance.md``, from the code: ``python -m dicom_io.conformance`` writes them again.

A table stands between ``<!-- table NAME -->`` and ``<!-- end -->``; all else on the page is written by hand.
"""

import re
import sys
from collections.abc import Callable, Iterable, Sequence

from pydicom.uid import (
    UID,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import DEFAULT_TRANSFER_SYNTAXES

from core.project_files import PROJECT
from core.version import VERSION
from dicom_io.commitment.request import PUSH_MODEL, REPORT_SYNTAXES
from dicom_io.delivery import answer, store_scu, stow_answer
from dicom_io.delivery.find_scu import STUDY_ROOT_FIND
from dicom_io.images.headers.image_classes import IMAGE_CLASSES
from dicom_io.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_io.reception import storage_scp
from dicom_io.reception.limits import Limits
from dicom_io.reception.negotiation import MAX_PDU_SIZE
from dicom_io.reception.presentation_contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES, VERIFICATION
from dicom_io.results import notice_image
from dicom_io.results.seg import build as seg
from dicom_io.results.source_attributes import EQUIPMENT
from dicom_io.results.source_modules import MODULES
from dicom_io.spool.records import State

PAGE = PROJECT / "docs" / "conformance.md"
_MARKED = re.compile(r"(<!-- table ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_LABELMAP = UID("1.2.840.10008.5.1.4.1.1.66.7")


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def _uids(uids: Iterable[UID]) -> list[tuple[str, str]]:
    return [(uid.name, str(uid)) for uid in uids]


def _names(uids: Iterable[str]) -> str:
    return ", ".join(UID(uid).name for uid in uids)


def _identification() -> str:
    rows = [
        ("Program", f"segnode {VERSION}"),
        ("Manufacturer in results", seg.MANUFACTURER),
        ("Implementation Class UID", IMPLEMENTATION_CLASS_UID),
        ("Implementation Version Name", IMPLEMENTATION_VERSION_NAME),
        ("Maximum PDU length offered", f"{MAX_PDU_SIZE} bytes"),
    ]
    return _table(("", ""), rows)


def _work_classes() -> str:
    return _table(("SOP Class", "UID"), _uids(sorted(IMAGE_CLASSES)))


def _other_classes() -> str:
    return _table(("SOP Class", "UID"), _uids(sorted(set(STORAGE_CLASSES) - IMAGE_CLASSES)))


def _syntaxes() -> str:
    return _table(("Transfer Syntax", "UID"), _uids(TRANSFER_SYNTAXES))


def _roles() -> str:
    rows = [
        ("Verification", VERIFICATION, "SCP", _names(DEFAULT_TRANSFER_SYNTAXES)),
        ("Verification", VERIFICATION, "SCU", _names(store_scu.UNCOMPRESSED)),
        ("the storage classes below", "", "SCP", "the transfer syntaxes below"),
        (SegmentationStorage.name, SegmentationStorage, "SCU", _names(store_scu.UNCOMPRESSED)),
        ("Label Map Segmentation Storage", _LABELMAP, "SCU", RLELossless.name),
        (
            SecondaryCaptureImageStorage.name,
            SecondaryCaptureImageStorage,
            "SCU, notices",
            _names(store_scu.UNCOMPRESSED),
        ),
        (PUSH_MODEL.name, PUSH_MODEL, "SCU", _names(REPORT_SYNTAXES)),
        (UID(STUDY_ROOT_FIND).name, STUDY_ROOT_FIND, "SCU", _names(store_scu.UNCOMPRESSED)),
    ]
    return _table(("SOP Class", "UID", "Role", "Transfer Syntaxes"), rows)


def _statuses() -> str:
    rows = [
        (
            f"0x{storage_scp.SUCCESS:04X}",
            "the object is on the disk, its name too; or it was there; or the node made it",
        ),
        (f"0x{storage_scp.PROCESSING_FAILURE:04X}", "what the node has of the study is damaged on its disk"),
        (f"0x{storage_scp.NO_SUCH_CLASS:04X}", "the context is of no storage class, or of another than the command's"),
        (f"0x{storage_scp.OUT_OF_RESOURCES:04X}", "the disk is full, has less free than is to stay free, or fails"),
        (f"0x{storage_scp.DOES_NOT_MATCH:04X}", "the UIDs of the command are not those of the object"),
        (f"0x{storage_scp.CANNOT_UNDERSTAND:04X}", "a UID is invalid or missing, or the object cannot be read"),
    ]
    return _table(("Status", "When"), rows)


def _answers() -> str:
    rows: list[tuple[str, str, str]] = [("0x0000", "success", "delivered")]
    rows += [(f"0x{code:04X}", f"warning: {text}", "delivered") for code, text in answer.WARNINGS.items()]
    rows += [("any other 0xBxxx", "warning", "delivered")]
    for code, meaning in _MEANINGS.items():
        rows.append((f"0x{code:04X}", meaning, _THEN[answer.said_by_failure(code)]))
    rows.append(("any other", "failure", _THEN[answer.Said.REFUSED]))
    return _table(("Status", "Meaning", "Then"), rows)


_MEANINGS = {0x0110: "processing failure", 0x0111: "duplicate SOP instance", 0x0212: "mistyped argument"}
_MEANINGS |= {0x0213: "resource limitation", 0xA700: "out of resources, and all others from 0xA700 to 0xA7FF"}
_THEN = {
    answer.Said.LATER: "tried again",
    answer.Said.DOUBTFUL: "asked whether it has the object; if not, or if it cannot be asked, tried again",
    answer.Said.HAS_IT: "delivered if this node brought it in an earlier try, else asked whether it has the object",
    answer.Said.REFUSED: "refused, not tried again",
}


def _limits() -> str:
    rows = [(f"`{name}`", info.default, info.description or "") for name, info in Limits.model_fields.items()]
    return _table(("`limits:`", "Default", "What"), rows)


def _deadlines() -> str:
    rows = [
        ("connection", f"{store_scu.CONNECT_TIMEOUT_S:.0f} s"),
        ("association", f"{store_scu.ASSOCIATION_TIMEOUT_S:.0f} s"),
        ("answer to a C-STORE, N-ACTION or STOW-RS request", f"{store_scu.ANSWER_TIMEOUT_S:.0f} s"),
    ]
    return _table(("What is waited for", "At most"), rows)


def _web() -> str:
    final = ", ".join(str(status) for status in sorted(stow_answer.FINAL_STATUSES))
    duplicates = " or ".join(f"0x{code:04X}" for code in sorted(answer.DUPLICATES))
    rows = [
        ("2xx, the object in Referenced SOP Sequence and in no Failed SOP Sequence", "delivered, also with a warning"),
        ("2xx or 409, the object in Failed SOP Sequence, or Other Failures Sequence", "as C-STORE with that reason"),
        (f"409, the object named with no reason, or any with {duplicates}", _THEN[answer.Said.HAS_IT]),
        ("2xx that names neither: empty, unreadable, too long, another UID", "asked whether it has the object"),
        ("2xx with a web page", "tried again"),
        (f"{final}, 409 without the object", "refused, not tried again"),
        ("all others, a redirect too, and no answer", "tried again"),
    ]
    return _table(("Answer", "Then"), rows)


def _inherited() -> str:
    rows = [
        (module, ", ".join(f"`{keyword}` ({kind})" for keyword, kind in sorted(types.items())))
        for module, types in MODULES.items()
    ]
    rows += [("Equipment and compression, as Contributing Equipment of a SEG", ", ".join(f"`{k}`" for k in EQUIPMENT))]
    return _table(("Module of PS3.3", "Attributes that are inherited, and their types"), rows)


def _notices() -> str:
    titles = notice_image.TITLES
    return _table(("`notices:`", "Title"), [(f"`{kind}`", title) for kind, title in titles.items()])


def _states() -> str:
    rows = [(f"`{state}`", "yes" if state.is_final else "") for state in State]
    return _table(("State", "Final"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "identification": _identification,
    "roles": _roles,
    "work-classes": _work_classes,
    "other-classes": _other_classes,
    "transfer-syntaxes": _syntaxes,
    "statuses": _statuses,
    "answers": _answers,
    "limits": _limits,
    "deadlines": _deadlines,
    "web": _web,
    "inherited": _inherited,
    "notices": _notices,
    "states": _states,
}


def with_tables(page: str) -> str:
    """Return the page with every marked table generated anew.

    Raises
    ------
    KeyError
        If the page names a table that does not exist.
    """
    return _MARKED.sub(lambda found: found[1] + "\n" + TABLES[found[2]]() + "\n" + found[4], page)


def names_of_tables(page: str) -> list[str]:
    """Return the names of the tables that a page marks."""
    return [found[2] for found in _MARKED.finditer(page)]


if __name__ == "__main__":
    if not PAGE.is_file():
        sys.exit(f"{PAGE} is not there; call this in a checkout of segnode, whose page it writes")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")

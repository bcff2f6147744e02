"""The labels table of a registration: given, stated by the sources, or made of the names that all cases hold."""

from collections.abc import Sequence

from core.errors import ConfigInvalid
from training.datasets.case import Found, Request
from training.datasets.refusal import nothing_left
from training.datasets.table import LabelTable, draft_of, table_of_names


def choose_table(found: Sequence[Found], request: Request) -> LabelTable:
    """Take the table that was given, that the sources state, or the names if all cases have the same ones.

    Raises
    ------
    ConfigInvalid
        If a person has to say which names are one label; the text holds a first table.
    CaseRefused
        If there is no case.
    """
    if request.table is not None:
        return request.table
    stated = [part.table for part in found if part.table is not None]
    if stated and len(stated) == len(found):
        if any(table != stated[0] for table in stated[1:]):
            raise ConfigInvalid(
                "the sources state different labels or channels; write one table and give it as --labels"
            )
        return stated[0]
    cases = [case for part in found for case in part.cases]
    if not cases:
        raise nothing_left([(code, detail) for part in found for _, code, detail in part.refused])
    lists = {tuple(sorted(set(case.structures))) for case in cases}
    if len(lists) == 1 and (names := next(iter(lists))):
        hidden = frozenset().union(*(case.hidden for case in cases))
        if not any(word in name.casefold() for name in names for word in hidden):
            return table_of_names(names)
    names = tuple(sorted({name for case in cases for name in case.structures}))
    if not names:
        raise ConfigInvalid("the source does not state its labels; write a table and give it as --labels labels.yaml")
    raise ConfigInvalid(
        "the cases do not all hold the same structures, so a person has to say which are one label. Complete this, "
        f"save it, and give it as --labels labels.yaml:\n\n{draft_of(names)}"
    )

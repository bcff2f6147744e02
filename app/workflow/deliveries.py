"""The deliveries of one revision: how each begins, and what the revision ends with when all have ended."""

from collections.abc import Sequence
from dataclasses import replace

from dicom_io.spool.records import ARRIVED, INTERNAL_ERROR, PARTIAL, PENDING, UNCONFIRMED, WITHDRAWN, Delivery, State
from dicom_io.spool.revision import Revision


def begin_delivery(revision: Revision, destination: str, files: Sequence[str]) -> None:
    """Note what a destination is to get; a delivery that was withdrawn begins again, any other goes on as it is.

    Parameters
    ----------
    files
        Names below the results folder.
    """
    known = revision.read_delivery(destination)
    if known is None:
        revision.write_delivery(destination, Delivery(tuple(files)))
    elif known.state == WITHDRAWN:
        # What it accepted then is not sent again, but a report that was asked for then may never have been kept.
        sent = tuple(name for name in known.sent if name in files)
        again = known.without_transaction().begun_again()
        revision.write_delivery(destination, replace(again, files=tuple(files), sent=sent))


def end_of(revision: Revision) -> tuple[State, str, str] | None:
    """State, reason code and message that a revision ends with; None while a delivery is under way."""
    deliveries = revision.deliveries()
    states = {name: delivery.state for name, delivery in deliveries.items()}
    if PENDING & set(states.values()):
        return None
    known = revision.read_outcome()
    outcome = known.outcome if known is not None else None
    if outcome in ("refused", "failed"):
        return State(outcome), "", ""  # what was sent is the notice; the reason is noted already
    unconfirmed = sorted(name for name, state in states.items() if state == UNCONFIRMED)
    undelivered = sorted(name for name, state in states.items() if state not in (*ARRIVED, WITHDRAWN, UNCONFIRMED))
    if undelivered:
        doubt = f" {', '.join(unconfirmed)} did not confirm it." if unconfirmed else ""
        message = f"Not delivered to {', '.join(undelivered)}.{doubt}"
        if any(deliveries[name].reason.startswith(INTERNAL_ERROR) for name in undelivered):
            return State.FAILED, INTERNAL_ERROR, message
        if all(states[name] == PARTIAL for name in undelivered):
            lacks = "; ".join(f"{name} lacks {', '.join(deliveries[name].missing)}" for name in undelivered)
            return State.FAILED, PARTIAL, f"Delivered in part: {lacks}.{doubt}"
        return State.FAILED, "not_delivered", message
    if unconfirmed:
        return State.FAILED, UNCONFIRMED, f"Sent to {', '.join(unconfirmed)}, which did not confirm it by name."
    if outcome == "nothing_found":
        return State.NOTHING_FOUND, "", ""
    return State.COMMITTED if "committed" in states.values() else State.DELIVERED, "", ""

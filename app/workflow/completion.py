"""The rules for a complete study: silence, a number that its images name, what an archive has, and a longest wait."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.settings.node import NodeSettings
from app.settings.route import CompleteWhen, Route
from app.workflow.archive_check import ArchiveCheck, Come, Missing
from app.workflow.routing import StudyPlan, plan_study
from dicom_io.images.headers.image_count import ImageCount
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool

SERIES_SETTLE_S = 2.0
"""Silence that the number of one series needs too: a scout that comes first is complete before the study begins."""

MODALITIES = ("CT", "MR", "PT")
"""Of which models read images; series of other modalities are not awaited."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on a revision that is receiving.

    Attributes
    ----------
    complete
        Whether its work may begin.
    notes
        What a person should know who looks at its result.
    missing
        What an archive has that has not come, where that is why it is not complete.
    """

    complete: bool
    notes: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()


class Arrivals:
    """One revision that is receiving, as this process has seen it grow.

    Times are of this process's own monotonic clock: neither a clock that jumps nor a restart can cut a wait short.

    Parameters
    ----------
    revision
        The revision.
    now
        Seconds; when it was seen first.
    """

    def __init__(self, revision: Revision, now: float) -> None:
        self.revision = revision
        self.since = self.quiet_since = now
        self.stamp = revision.arrival_stamp()
        self.image_count = ImageCount()
        self.missing: tuple[Missing, ...] = ()

    def look(self, now: float) -> None:
        """Note whether an image has come."""
        if (stamp := self.revision.arrival_stamp()) != self.stamp:
            self.stamp, self.quiet_since = stamp, now


class Completion:
    """Decides for one node.

    Parameters
    ----------
    settings
        The node's settings.
    spool
        Its spool.
    """

    def __init__(self, settings: NodeSettings, spool: Spool) -> None:
        self._settings = settings
        self._spool = spool
        self._archive_check = ArchiveCheck(settings)

    def judge(self, arrivals: Arrivals, now: float) -> Verdict:
        """Combine what the routes of a study say: it is complete when it is complete for each of them.

        Raises
        ------
        OSError
            If the spool cannot be read.
        """
        study = self._spool.study(arrivals.revision.key)
        routes: Sequence[Route] = self._routes_of(study["called_ae"])
        if _need_headers(routes):
            arrivals.image_count.update(arrivals.revision.images)
            # Where none fits yet, the series that makes one fit may be still to come.
            routes = plan_study(routes, study["called_ae"], arrivals.image_count.series).routes or routes
        quiet = now - arrivals.quiet_since
        if routes and all(self._has_all(route.complete_when, arrivals, quiet) for route in routes):
            return Verdict(True)
        is_quiet = quiet >= max((self._quiet_s(route) for route in routes), default=self._settings.quiet_seconds)
        longest = max((route.longest_wait_seconds for route in routes), default=LONGEST_WAIT_S)
        too_long = now - arrivals.since >= longest
        if not is_quiet:
            notes = (f"Images were still coming after {longest:.0f} s.",) if too_long else ()
            return Verdict(too_long, notes)
        return self._ask(routes, arrivals, study["study"], now, longest if too_long else None)

    def priority(self, arrivals: Arrivals) -> str:
        """``stat`` where a route that the study takes says so, otherwise ``routine``.

        Raises
        ------
        OSError
            If the spool cannot be read.
        """
        called_ae = self._spool.study(arrivals.revision.key)["called_ae"]
        routes = self._routes_of(called_ae)
        if StudyPlan(tuple(routes)).priority != "stat":
            return "routine"  # whichever of them it takes; nothing has to be read
        arrivals.image_count.update(arrivals.revision.images)
        return plan_study(routes, called_ae, arrivals.image_count.series).priority

    def forget(self, key: str) -> None:
        """Drop what was asked about a study that is no longer receiving."""
        self._archive_check.forget(key)

    def _routes_of(self, called_ae: str) -> list[Route]:
        return [route for route in self._settings.routes if route.called_ae == called_ae]

    def _quiet_s(self, route: Route) -> float:
        return route.quiet_seconds if route.quiet_seconds is not None else self._settings.quiet_seconds

    def _has_all(self, rule: CompleteWhen, arrivals: Arrivals, quiet: float) -> bool:
        if rule.images_in is None:
            return False
        if rule.images_in != "NumberOfStudyRelatedInstances" and quiet < SERIES_SETTLE_S:
            return False
        return arrivals.image_count.has_all(rule.images_in, len(self._beside(arrivals.revision.key)))

    def _beside(self, key: str) -> frozenset[str]:
        # Other content under a UID that is here has a number behind its name.
        return frozenset(path.stem.partition("-")[0] for path in (self._spool.folder(key) / "others").iterdir())

    def _ask(
        self, routes: Sequence[Route], arrivals: Arrivals, study_uid: str, now: float, waited_s: float | None
    ) -> Verdict:
        """Compare what has come with what the routes' archives have, now that nothing comes any more."""
        revision, image_count = arrivals.revision, arrivals.image_count
        beside = self._beside(revision.key)
        said = {route.complete_when.images_in for route in routes} - {None}
        lacking = sorted(keyword for keyword in said if keyword and image_count.lacks(keyword, len(beside)))
        notes = [f"Fewer images were received than {keyword} states." for keyword in lacking]
        asking = [route for route in routes if route.complete_when.counted_by is not None]
        if not asking:
            return Verdict(True, tuple(notes))
        names = image_count.names | beside
        come = Come(revision.key, revision.number, study_uid, arrivals.stamp, image_count.images_by_series, names)
        awaited: dict[str, set[str]] = {}
        for route in asking:
            modalities = route.rules.modality or MODALITIES if route.complete_when.series == "all" else ()
            awaited.setdefault(str(route.complete_when.counted_by), set()).update(modalities)
        counts = {archive: self._archive_check.look(archive, come, sorted(of), now) for archive, of in awaited.items()}
        missing = tuple(one for count in counts.values() for one in count.missing)
        notes += [f"{name} could not be queried: {count.problem}." for name, count in counts.items() if count.problem]
        known = all(count.known for count in counts.values())
        if waited_s is None:
            return Verdict(known and not missing, tuple(notes), missing)
        if not known:
            notes.append("An archive did not answer the query in time.")
        notes += [f"Not received within {waited_s:.0f} s: {one}." for one in missing]
        return Verdict(True, tuple(notes))


LONGEST_WAIT_S: float = Route.model_fields["longest_wait_seconds"].default


def _need_headers(routes: Iterable[Route]) -> bool:
    terms = {(route.quiet_seconds, route.longest_wait_seconds, route.complete_when) for route in routes}
    return len(terms) > 1 or any(rule != CompleteWhen() for _, _, rule in terms)

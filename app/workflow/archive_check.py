"""A check for images that archives have and the node has not; it asks in threads, so one that hangs holds up nobody."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from app.settings.destination import DicomDestination
from app.settings.node import NodeSettings
from app.workflow.send import storage_scp
from core.backoff import Backoff
from core.errors import ConfigInvalid, RetryLater
from core.event_log import EventLog
from dicom_io.delivery.find_scu import ArchivedSeries, find_series
from dicom_io.spool.received import object_name

ASKED_AT_ONCE = 2
"""Studies, for each archive."""

MAX_UNANSWERED = 4
"""Number of queries to an archive that does not answer: the silence of the sender then has to do."""

FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 60.0
_NAMED = 5

_log = EventLog()


def short_id(uid: str) -> str:
    """Return the short name of a series or image for logs."""
    return object_name(uid)[:8]


@dataclass(frozen=True)
class Missing:
    """The images of one series that have not come.

    Attributes
    ----------
    series
        Series Instance UID.
    images
        SOP Instance UIDs, sorted.
    of
        How many the archive has.
    """

    series: str
    images: tuple[str, ...]
    of: int

    def __str__(self) -> str:
        """Write counts and short IDs, as a log or report may carry them."""
        named = ", ".join(short_id(image) for image in self.images[:_NAMED])
        more = ", ..." if len(self.images) > _NAMED else ""
        return f"{len(self.images)} of {self.of} of series {short_id(self.series)} ({named}{more})"


@dataclass(frozen=True)
class Come:
    """The images of a study that have come.

    Attributes
    ----------
    key, number, study_uid
        The revision, and the study's UID.
    stamp
        Changes with every image.
    images_by_series
        Number of images by Series Instance UID.
    names
        `object_name` of everything that has come.
    """

    key: str
    number: int
    study_uid: str
    stamp: int
    images_by_series: Mapping[str, int]
    names: frozenset[str]


@dataclass(frozen=True)
class Count:
    """The present knowledge of one archive's answer.

    Attributes
    ----------
    known
        Whether there is nothing to wait for any more but what is missing.
    missing
        What it has that has not come.
    problem
        Why it could not be asked.
    """

    known: bool
    missing: tuple[Missing, ...] = ()
    problem: str = ""


@dataclass
class _Question:
    number: int
    stamp: int
    answer: Future[list[ArchivedSeries]] | None
    asked: int = 1
    unanswered: int = 0
    next_at: float = 0.0
    count: Count = field(default_factory=lambda: Count(False))


class ArchiveCheck:
    """Asks a node's archives.

    Parameters
    ----------
    settings
        The node's settings.
    """

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._questions: dict[tuple[str, str], _Question] = {}

    def look(self, archive: str, come: Come, awaited: Sequence[str], now: float) -> Count:
        """Return what is known so far; an archive that has more images than the node is asked again, ever less often.

        Parameters
        ----------
        archive
            A dicom destination.
        come
            What has come. After a new image everything is asked anew.
        awaited
            Modalities of series that are awaited although nothing of them has come.
        now
            Seconds of a monotonic clock.
        """
        question = self._questions.get((come.key, archive))
        if question is None or (question.number, question.stamp) != (come.number, come.stamp):
            question = _Question(come.number, come.stamp, self._ask(archive, come))
            self._questions[come.key, archive] = question
        if question.answer is not None and question.answer.done():
            self._take(question, question.answer, come, awaited)
            question.answer = None
            question.next_at = now + Backoff(FIRST_WAIT_S, LONGEST_WAIT_S).wait_s(question.asked - 1)
        settled = question.count.known and not question.count.missing
        if question.answer is None and not settled and now >= question.next_at:
            question.asked += 1
            question.answer = self._ask(archive, come)
        return question.count

    def forget(self, key: str) -> None:
        """Drop what was asked about a study."""
        for asked in [one for one in self._questions if one[0] == key]:
            del self._questions[asked]

    def _ask(self, archive: str, come: Come) -> Future[list[ArchivedSeries]]:
        settings = self._settings.destinations[archive]
        assert isinstance(settings, DicomDestination)  # noqa: S101 - the settings are validated
        if archive not in self._threads:
            self._threads[archive] = ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix=f"archive-check-{archive}")
        return self._threads[archive].submit(
            find_series, storage_scp(settings), self._settings.ae_title, come.study_uid, dict(come.images_by_series)
        )

    @staticmethod
    def _take(question: _Question, answer: Future[list[ArchivedSeries]], come: Come, awaited: Sequence[str]) -> None:
        try:
            archived = answer.result()
        except ConfigInvalid as error:
            question.count = Count(True, problem=str(error))
        except RetryLater as error:
            question.unanswered += 1
            _log.warning("archive_not_asked", reason=str(error))
            if question.unanswered >= MAX_UNANSWERED:
                question.count = Count(True, problem=str(error))
        else:
            question.unanswered = 0
            question.count = Count(True, tuple(_missing(archived, come, awaited)))


def _missing(archived: Sequence[ArchivedSeries], come: Come, awaited: Sequence[str]) -> list[Missing]:
    """Return what the archive has and the node has not received; where it has fewer images, nothing is missing."""
    missing = []
    for series in archived:
        if series.uid not in come.images_by_series and series.modality not in awaited:
            continue
        absent = tuple(sorted(one for one in series.instances or () if object_name(one) not in come.names))
        if absent:
            missing.append(Missing(series.uid, absent, series.number))
    return missing

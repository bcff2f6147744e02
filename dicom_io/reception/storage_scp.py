"""One C-STORE (PS3.4 annex B), from its command to its status; its data set goes to disk as it comes."""

import errno
from collections.abc import Collection
from io import BufferedReader

from core.event_log import EventLog
from dicom_io.elements import ElementsError
from dicom_io.images.headers.image_classes import IMAGE_CLASSES
from dicom_io.images.headers.part10 import file_head, identify
from dicom_io.reception.association import Answered, Caller, Context, Request
from dicom_io.reception.dimse import Command
from dicom_io.reception.observer import Observer
from dicom_io.spool.free_space import NoRoomError
from dicom_io.spool.incoming import IncomingFile
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.isolation import DAMAGE
from dicom_io.spool.received import ReceivedObject, is_uid, study_key

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
NO_SUCH_CLASS = 0x0122
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

_log = EventLog()


class StorageScp:
    """The service of C-STORE.

    Parameters
    ----------
    arrival
        Puts objects into the spool.
    observer
        Records stored objects.
    sop_classes
        SOP classes that are stored; a context of another class belongs to another service.
    """

    def __init__(self, arrival: Ingest, observer: Observer, sop_classes: Collection[str]) -> None:
        self.arrival = arrival
        self.observer = observer
        self._sop_classes = frozenset(sop_classes)

    def begin(self, caller: Caller, context: Context, command: Command) -> Request:
        """Begin to receive an object; an object that is refused here is read and dropped."""
        if context.abstract_syntax not in self._sop_classes or command.sop_class != context.abstract_syntax:
            return Answered(_refuse("class_of_another_context", NO_SUCH_CLASS))
        if not is_uid(command.instance):
            return Answered(_refuse("invalid_uid", CANNOT_UNDERSTAND))
        try:
            if command.instance not in self.arrival.spool.own:
                return _Store(self, caller, context, command)
        except OSError as error:
            return Answered(_no_resources(error))
        # It is on disk already, as this node's own result, and a PACS that routes all it has needs no error for it.
        _log.info("own_result_ignored")
        return Answered(SUCCESS)


class _Store:
    """One object that is being received."""

    def __init__(self, storage: StorageScp, caller: Caller, context: Context, command: Command) -> None:
        self._storage = storage
        self._caller = caller
        self._syntax = context.transfer_syntax
        self._command = command
        self._status = SUCCESS
        head = file_head(command.sop_class, command.instance, self._syntax)
        self._head_bytes = len(head)
        self._file: IncomingFile | None = storage.arrival.begin()
        self.write(memoryview(head))

    def write(self, piece: memoryview) -> None:
        """Write a piece of the data set to disk."""
        if self._file is not None:
            try:
                self._file.write(piece)
            except OSError as error:
                self._fail(error)

    def finish(self) -> int:
        """Put the object into its study, and return the status."""
        if self._file is None:
            return self._status
        try:
            return self._place(self._file)
        except OSError as error:
            return self._fail(error)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the incoming file, unless it has been stored."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _fail(self, error: OSError) -> int:
        self.discard()
        self._status = _no_resources(error)
        return self._status

    def _place(self, file: IncomingFile) -> int:
        try:
            uids = identify(BufferedReader(file.reader(self._head_bytes)), self._syntax)
        except ElementsError as error:
            return _refuse(error.reason, CANNOT_UNDERSTAND)
        if not is_uid(uids.study):
            return _refuse("no_study_uid", CANNOT_UNDERSTAND)
        instance, sop_class = self._command.instance, self._command.sop_class
        if (uids.sop_class, uids.instance) != (sop_class, instance):
            return _refuse("uids_do_not_match", DOES_NOT_MATCH)
        received = ReceivedObject(self._caller.called_ae, uids.study, instance, sop_class in IMAGE_CLASSES)
        key = study_key(received.called_ae, received.study_uid)
        try:
            placed = self._storage.arrival.store(received, file)
        except DAMAGE as error:
            self._storage.observer.not_stored(self._caller, received, file)
            if isinstance(error, OSError):
                raise
            # This study's files on the disk cannot be read; other studies of the association are not affected.
            _log.error("object_not_stored", reason="damaged_study", study=key)
            return PROCESSING_FAILURE
        _say(placed, key)
        self._storage.observer.stored(self._caller, received, sop_class, file)
        return SUCCESS


def _no_resources(error: OSError) -> int:
    reason = "kept_free" if isinstance(error, NoRoomError) else errno.errorcode.get(error.errno or 0, "OS")
    _log.error("object_not_stored", reason=reason)
    return OUT_OF_RESOURCES


def _refuse(reason: str, status: int) -> int:
    _log.warning("object_refused", reason=reason)
    return status


def _say(placed: str, key: str) -> None:
    if placed == "new_revision":
        _log.info("study_opened", study=key)
    elif placed == "quarantined":
        _log.warning("object_quarantined", study=key)
    elif placed != "stored":
        _log.info(f"object_{placed}", study=key)

"""Headers of thousands of images, kept small: the images of a series share the elements in which they agree.

Of some 130 elements of an image, twenty are its own: its UID, number, position, times. Kept as pydicom's data sets,
50,000 headers take 3 GB; kept so, a tenth of that.
"""

from dataclasses import dataclass

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag

from dicom_io.images.headers.attributes import tag_of

_Element = RawDataElement | DataElement
_Elements = dict[BaseTag, _Element]

_PER_FRAME = "PerFrameFunctionalGroupsSequence"
_SERIES, _SYNTAX = "SeriesInstanceUID", "TransferSyntaxUID"

_LARGEST_SHARE = 0.5
"""Of its elements, an image that has more for itself begins a set of its own."""


@dataclass(frozen=True, eq=False, slots=True)
class PackedHeader:
    """The header of one image.

    Attributes
    ----------
    shared
        Elements of the first image of its kind; not to be changed.
    own
        Elements that it has for itself, or not as the first image has them.
    absent
        Tags of shared elements that it lacks.
    encoding
        Implicit VR, little endian, and the character sets of its text.
    file_meta
        Its transfer syntax alone; shared.
    """

    shared: _Elements
    own: tuple[_Element, ...]
    absent: tuple[BaseTag, ...]
    encoding: tuple[bool | None, bool | None, tuple[str, ...]]
    file_meta: FileMetaDataset

    def unpack(self) -> Dataset:
        """Build the data set, a new one each time: what is converted or changed in it is not kept."""
        elements = self.shared.copy()
        for tag in self.absent:
            del elements[tag]
        for element in self.own:
            elements[element.tag] = element
        header = Dataset(elements)
        implicit, little_endian, charsets = self.encoding
        header.set_original_encoding(implicit, little_endian, list(charsets))
        header.file_meta = self.file_meta
        return header


class HeaderPacker:
    """Packs headers one after the other, in any order; headers of one series share most."""

    def __init__(self) -> None:
        self._shared: dict[object, _Elements] = {}
        self._latest: _Elements = {}
        self._metas: dict[object, FileMetaDataset] = {}
        self._encodings: dict[tuple[bool | None, bool | None, tuple[str, ...]], None] = {}

    def pack(self, header: Dataset) -> PackedHeader | Dataset:
        """Pack a header as it was read; one with functional groups stays as it is, since it is one of few."""
        if tag_of(_PER_FRAME) in header:
            return header
        elements: _Elements = dict(header.items())
        series = elements.get(tag_of(_SERIES))
        key = series.value if series is not None else None
        shared = self._shared.get(key)
        own, absent = _differences(elements, shared) if shared is not None else ([], ())
        if shared is None or len(own) > _LARGEST_SHARE * len(elements):
            # Another series of the study repeats most of it: patient, study, device.
            known = self._latest
            shared = {tag: known[tag] if _same(known.get(tag), one) else one for tag, one in elements.items()}
            self._shared[key] = self._latest = shared
            own, absent = [], ()
        return PackedHeader(shared, tuple(own), absent, self._encoding(header), self._meta(header))

    def _encoding(self, header: Dataset) -> tuple[bool | None, bool | None, tuple[str, ...]]:
        charsets = header.original_character_set
        found = (*header.original_encoding, (charsets,) if isinstance(charsets, str) else tuple(charsets))
        return next((known for known in self._encodings if known == found), None) or self._keep(found)

    def _keep(
        self, encoding: tuple[bool | None, bool | None, tuple[str, ...]]
    ) -> tuple[bool | None, bool | None, tuple[str, ...]]:
        self._encodings[encoding] = None
        return encoding

    def _meta(self, header: Dataset) -> FileMetaDataset:
        syntax = header.file_meta.get_item(tag_of(_SYNTAX))
        key = None if syntax is None else (syntax.VR, str(syntax.value))
        if key not in self._metas:
            self._metas[key] = FileMetaDataset({} if syntax is None else {tag_of(_SYNTAX): syntax})
        return self._metas[key]


def _differences(elements: _Elements, shared: _Elements) -> tuple[list[_Element], tuple[BaseTag, ...]]:
    own = [element for tag, element in elements.items() if not _same(shared.get(tag), element)]
    return own, tuple(tag for tag in shared if tag not in elements)


def _same(first: _Element | None, second: _Element | None) -> bool:
    """Tell whether two elements are one, in their encoding too; where they lay in their files does not matter."""
    if isinstance(first, RawDataElement) and isinstance(second, RawDataElement):
        return first.value == second.value and first[1] == second[1] and first[5:] == second[5:]
    if not isinstance(first, DataElement) or not isinstance(second, DataElement) or first.VR != second.VR:
        return False
    if first.VR != "SQ":
        return bool(first == second)
    pairs = zip(first.value, second.value, strict=False)
    return len(first.value) == len(second.value) and all(_same_item(*pair) for pair in pairs)


def _same_item(first: Dataset, second: Dataset) -> bool:
    """Compare items as they were read, since to convert their elements takes most of the time."""
    if first.keys() != second.keys() or first.original_encoding != second.original_encoding:
        return False
    if first.original_character_set != second.original_character_set:
        return False
    return all(_same(first.get_item(tag), element) for tag, element in second.items())

"""Texts of ``model.yaml`` stand in the SEG as they were written."""

from dataclasses import replace
from pathlib import Path

import pydicom

from core.model_config import Code, LabelSpec
from dicom_io.results.seg.build import build_seg, verify_seg, write_seg
from tests.support.seg_cases import LABELS, context, label_map, made_case


def test_texts_come_back(tmp_path: Path) -> None:
    case = made_case(tmp_path / "series", shape=(6, 12, 10))
    name, meaning = "간 / Lésion " + "x" * 50, "Liver (à revoir)"
    first = LabelSpec(value=1, name=name, type=Code(value="10200004", scheme="SCT", meaning=meaning))
    labels = (first, *LABELS[1:])
    given = context(labels, series_description="CT liver = 50 % ^ KI")
    config = given.config.model_copy(update={"version": "2026.1 β", "description": "Liver\\spleen\n of  a\tCT\n"})
    seg = build_seg(label_map(case, labels=labels), case.volume, case.sources, replace(given, config=config))
    write_seg(seg, tmp_path / "x.dcm")
    verify_seg(tmp_path / "x.dcm", label_map(case, labels=labels))
    read = pydicom.dcmread(tmp_path / "x.dcm")
    segment = read.SegmentSequence[0]
    assert (segment.SegmentLabel, segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning) == (name, meaning)
    assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == "2026.1 β"
    assert (read.SeriesDescription, read.ContentDescription) == ("CT liver = 50 % ^ KI", "Liver spleen of a CT")

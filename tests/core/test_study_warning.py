from core.study_warning import StudyWarning, WarningCode, distinct


def test_every_code_has_a_sentence_of_its_own() -> None:
    sentences = [code.sentence for code in WarningCode]
    assert len(set(sentences)) == len(list(WarningCode))
    assert all(sentence.endswith(".") for sentence in sentences)


def test_a_warning_without_detail_is_its_sentence() -> None:
    warning = StudyWarning(WarningCode.RESAMPLED)
    assert warning.message == warning.finding == "A channel was resampled."
    assert StudyWarning(WarningCode.RESAMPLED, "By 2 mm.").finding == "By 2 mm."


def test_series_and_model_of_a_warning_are_not_replaced() -> None:
    named = StudyWarning(WarningCode.RESAMPLED).about("1.2", "liver")
    assert (named.series_uid, named.model) == ("1.2", "liver")
    assert named.about("1.3", "lung") == named


def test_a_warning_counts_once() -> None:
    first, second = StudyWarning(WarningCode.RESAMPLED), StudyWarning(WarningCode.REGISTERED)
    assert distinct([first, second, first]) == (first, second)

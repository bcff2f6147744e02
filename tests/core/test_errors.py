import pytest

from core.errors import ConfigInvalid, PackageInvalid, ReasonCode, RetryLater, SegnodeError, StudyRejected


def test_every_code_has_a_sentence_of_its_own() -> None:
    sentences = [code.sentence for code in ReasonCode]
    assert len(set(sentences)) == len(list(ReasonCode))
    assert all(sentence.endswith(".") for sentence in sentences)


def test_exit_codes_are_the_documented_ones() -> None:
    codes = {error: error.exit_code for error in (ConfigInvalid, StudyRejected, PackageInvalid, RetryLater)}
    assert codes == {ConfigInvalid: 2, StudyRejected: 3, PackageInvalid: 4, RetryLater: 5}
    assert SegnodeError.exit_code == 1


def test_a_rejection_says_code_sentence_detail_and_series() -> None:
    error = StudyRejected(ReasonCode.MISSING_SLICE, "Gap of 6.0 mm where 2.0 mm is usual.", "1.2.3")
    assert error.message == "A slice is missing inside the series. Gap of 6.0 mm where 2.0 mm is usual."
    assert str(error).startswith("missing_slice: ")
    assert str(error).endswith("(series 1.2.3)")


@pytest.mark.parametrize("kind", [ConfigInvalid, StudyRejected, PackageInvalid, RetryLater])
def test_all_are_of_one_tree(kind: type[SegnodeError]) -> None:
    assert issubclass(kind, SegnodeError)

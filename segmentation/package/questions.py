"""The open questions of a ``model.yaml``: comments that say what a person has to DECIDE.

`segmentation.importing.model_yaml_draft` writes them. A question is settled by deleting its comment.
"""

import re
from dataclasses import dataclass

import yaml

_MARK = re.compile(r"#.*?\bDECIDE\b\s*:?\s*(.*)")
_KEY = re.compile(r"\s*(?:-\s+)?([\w-]+)\s*:")


@dataclass(frozen=True)
class Question:
    """One open question.

    Attributes
    ----------
    line
        Line of ``model.yaml`` on which its comment begins, from 1.
    key
        Key that it is about: that of its line, else of the next line that is no comment; empty at the end of the file.
    text
        The comment, on one line.
    """

    line: int
    key: str
    text: str

    def __str__(self) -> str:
        """Write line, key and text."""
        return f"line {self.line}: {self.key}: {self.text}"


def questions_in(text: str) -> tuple[Question, ...]:
    """Find the open questions of a YAML text.

    Parameters
    ----------
    text
        Valid YAML; the mark counts in comments alone, not in values.
    """
    lines = without_scalars(text).split("\n")
    whole = text.split("\n")
    found = []
    for number, line in enumerate(lines):
        match = _MARK.search(line)
        if match is None:
            continue
        said = [match[1]]
        if _is_comment(line):
            said += _rest_of_comment(lines[number + 1 :])
        key = next((_KEY.match(one) for one in whole[number:] if one.strip() and not _is_comment(one)), None)
        found.append(Question(number + 1, key[1] if key else "", " ".join(" ".join(said).split())))
    return tuple(found)


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _rest_of_comment(lines: list[str]) -> list[str]:
    rest = []
    for line in lines:
        if not _is_comment(line) or _MARK.search(line):
            break
        rest.append(line.strip().lstrip("#").strip())
    return rest


def without_scalars(text: str) -> str:
    """Replace keys and values by blanks, lines kept, so that every ``#`` left begins a comment."""
    characters = list(text)
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.ScalarToken):
            for index in range(token.start_mark.index, token.end_mark.index):
                if characters[index] != "\n":
                    characters[index] = " "
    return "".join(characters)

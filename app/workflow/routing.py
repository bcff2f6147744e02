"""The choice of the routes of ``node.yaml`` that a study takes."""

import re
from collections.abc import Iterable, Sequence

from app.settings.route import Route, Rules
from dicom_io.images.headers.facts import SeriesFacts


def matching_routes(routes: Iterable[Route], called_ae: str, series: Sequence[SeriesFacts]) -> list[Route]:
    """Every route of the called AE title that some series of the study fits, in the order of the file."""
    return [
        route for route in routes if route.called_ae == called_ae and any(_fits(route.rules, facts) for facts in series)
    ]


def _fits(rules: Rules, facts: SeriesFacts) -> bool:
    return (
        (not rules.modality or facts.modality in rules.modality)
        and (not facts.body_part or _matches(rules.body_part, facts.body_part))
        and _matches(rules.study_description, facts.study_description)
        and _matches(rules.series_description, facts.series_description)
        and (not rules.requested_priority or facts.requested_priority in rules.requested_priority)
    )


def _matches(patterns: Sequence[str], text: str) -> bool:
    return not patterns or any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns)

"""The choice of the routes of ``node.yaml`` that a study takes, and the plan that they make for it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.settings.route import Route, Rules
from core.result_forms import DEFAULT
from dicom_io.images.headers.facts import SeriesFacts
from dicom_io.spool.records import Plan, PlannedDelivery


@dataclass(frozen=True)
class StudyPlan:
    """The routes that a study takes, in the order of the file; all that the node does with it follows from them."""

    routes: tuple[Route, ...]

    @property
    def priority(self) -> str:
        """``stat`` where a route says so, otherwise ``routine``."""
        return "stat" if any(route.priority == "stat" for route in self.routes) else "routine"

    def for_run(self, run: int, outputs: Mapping[str, Sequence[str]]) -> Plan:
        """Return the record of what a run is to do.

        Parameters
        ----------
        run
            Its number.
        outputs
            The forms of each result that a destination gets, by its name; those that are not named get the default.
        """
        destinations: dict[str, PlannedDelivery] = {}
        for name in dict.fromkeys(name for route in self.routes for name in route.destinations):
            routes = [route for route in self.routes if name in route.destinations]
            destinations[name] = PlannedDelivery(
                models=tuple(dict.fromkeys(model for route in routes for model in route.models)),
                notices=tuple(sorted({notice for route in routes for notice in route.notices})),
                outputs=tuple(outputs.get(name, DEFAULT)),
            )
        return Plan(run, destinations)


def plan_study(routes: Iterable[Route], called_ae: str, series: Sequence[SeriesFacts]) -> StudyPlan:
    """Plan a study by its called AE title and its series."""
    return StudyPlan(tuple(matching_routes(routes, called_ae, series)))


def is_possible(plan: Plan, routes: Sequence[Route]) -> bool:
    """Return whether the routes still know every model and destination of a plan, so that its run can go on by it."""
    models = {model for route in routes for model in route.models}
    destinations = {name for route in routes for name in route.destinations}
    return models.issuperset(plan.models) and destinations.issuperset(plan.destinations)


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

"""Brute-force answers to questions about the core metrics, service levels and delivery, straight from METRICS.md.

    python3 oracle.py --events F.ndjson[.gz] --config CONFIG.json --questions Q.ndjson

prints one line of JSON per question: the array of its answers. See CHOICES.md for what METRICS.md leaves open."""

import argparse
import json
import sys

import delivery
import levels
import metrics
from events import read_events
from values import DAY, format_instant, parse_day, parse_days, parse_instant
from world import World

OF_A_CAPABILITY = ("market_share", "keep_rate", "retention_curve", "self_service_rate")
OF_UNITS = ("market_share", "keep_rate", "retention_curve")
OF_DELIVERY = ("deployment_frequency", "lead_time_for_changes", "change_failure_rate", "failed_deployment_recovery_time",
               "rework_rate", "time_to_restore")
OF_OBJECTIVES = ("slo_sli", "slo_error_budget_remaining", "slo_burn_rate")
OF_LEVELS = (*OF_OBJECTIVES, "slo_compliance")
OF_NO_CAPABILITY = ("time_to_first_deploy", "onboarding_time", *OF_DELIVERY, *OF_LEVELS)
# Several numbers about the same units: the label that tells them apart, and what it says of each.
POINTS = {
    "retention_curve": ("horizon", [f"{days}d" for days in metrics.CURVE]),
    "deployment_frequency": ("per", delivery.FREQUENCIES),
    "lead_time_for_changes": ("part", delivery.PARTS),
    "slo_burn_rate": ("window", levels.WINDOWS),
}
ABOUT_PERSONS = ("onboarding_time", "nps")
DIMENSIONS = ("capability", "team", "service")


class BadQuestion(Exception):
    pass


class Oracle:
    def __init__(self, events, config):
        self.events, self.config, self.worlds = events, config, {}

    def world(self, instant):
        if instant not in self.worlds:
            self.worlds[instant] = World(self.events, self.config, instant)
        return self.worlds[instant]

    def answer(self, question):
        """All answers to one question, sorted by labels."""
        check(question)
        world = self.world(instant_of(question))
        answers = []
        for inside in capabilities_asked(world, question):
            for point in POINTS.get(question["metric"], (None, [None]))[1]:
                answers += self.breakdown(world, question, inside, point)
        return sorted(answers, key=lambda answer: sorted(answer["labels"].items()))

    def breakdown(self, world, question, inside, point):
        """The rows along one dimension inside everything else that is fixed, and which of them are withheld."""
        filters = {name: question[name] for name in DIMENSIONS if question.get(name) and name not in inside}
        along = question.get("by") if question.get("by") not in inside else None
        if along is None and filters:
            along = list(filters)[-1]       # 'A single filter shows one row of the breakdown along that filter'
        if along is None:
            row = compute(world, question, inside, point)
            return [shown(world, question, inside, point, row, withheld=False)]
        wanted = filters.pop(along, None)
        if any(name not in world.appeared[kind] for kind, name in filters.items()):
            return []
        rows = {
            name: compute(world, question, {**inside, **filters, along: name}, point)
            for name in world.appeared[along]
        }
        persons = {name: len(row.persons) for name, row in rows.items()}
        hidden = withheld_groups(persons, world.min_group) if question["metric"] in ABOUT_PERSONS else set()
        return [
            shown(world, question, {**inside, **filters, along: name}, point, row, name in hidden)
            for name, row in rows.items() if wanted is None or name == wanted
        ]


def check(question):
    metric, by = question["metric"], question.get("by")
    if not hasattr(metrics, metric) and metric != "retention_curve" and metric not in OF_DELIVERY + OF_LEVELS:
        raise BadQuestion(f"no such metric: {metric}")
    if metric in OF_NO_CAPABILITY and (by == "capability" or question.get("capability")):
        raise BadQuestion(f"{metric} is not about a capability")
    if metric in OF_UNITS and question.get("unit", "team") == "team" and (by == "service" or question.get("service")):
        raise BadQuestion("a service needs unit=service")


def instant_of(question):
    """'As of day D means T = the end of D; now means T = the clock, which is passed in.'"""
    if "now" in question:
        return parse_instant(question["now"])
    return (parse_day(question["as_of"]) + 1) * DAY


def as_of_text(question):
    return format_instant(parse_instant(question["now"])) if "now" in question else question["as_of"]


def capabilities_asked(world, question):
    """'A capability that has not appeared by T has no values at all and is listed nowhere; one that has is always listed'.
    Each scope in the list is answered on its own."""
    metric, asked = question["metric"], question.get("capability")
    if metric in OF_LEVELS and (metric in OF_OBJECTIVES or question.get("slo")):
        return [{"slo": name} for name in levels.objectives(world) if question.get("slo") in (None, name)]
    if metric not in OF_A_CAPABILITY:
        return [{}]
    if metric == "self_service_rate" and question.get("by") in ("team", "service") and not asked:
        return [{}]                 # settled: over all interactions
    return [{"capability": name} for name in world.appeared["capability"] if asked in (None, name)]


def compute(world, question, scope, point):
    if question["metric"] in OF_DELIVERY + OF_LEVELS:
        answer = getattr(delivery if question["metric"] in OF_DELIVERY else levels, question["metric"])
        return answer(world, question, scope) if point is None else answer(world, question, scope, point)
    if question["metric"] == "retention_curve":
        # '`keep_rate` for H = 7, 14, 30, 60, 90, 180, 365'; its only parameter is G
        plain = {name: value for name, value in question.items() if name not in ("rule", "max_age", "horizon")}
        return metrics.keep_rate(world, plain, scope, parse_days(point))
    return getattr(metrics, question["metric"])(world, question, scope)


def withheld_groups(persons, least):
    """'Below the level of the whole installation, a value about fewer than k distinct persons (5), censored ones
    included, is withheld with its counts and says so; if exactly one group of a breakdown is withheld, so is the next
    smallest.' Settled: smallest by persons, then by label."""
    by_size = sorted(persons, key=lambda name: (persons[name], name))
    small = [name for name in by_size if persons[name] < least]
    return set(by_size[:2]) if len(small) == 1 else set(small)


def shown(world, question, scope, point, row, withheld):
    labels = dict(scope)
    if point is not None:
        labels[POINTS[question["metric"]][0]] = point
    members, notes = dict(row.members), []
    if withheld:
        for name in members:
            members[name] = None
        members["counts"] = {}
        if "quantiles" in members:
            members["quantiles"] = {name: None for name in row.members["quantiles"]}
        notes.append("withheld")
    if "capability" in labels and world.mandated(labels["capability"]):
        notes.insert(0, "mandated")    # 'values about it say so'
    answer = {"metric": question["metric"], "labels": labels, "as_of": as_of_text(question), **members}
    if notes:
        answer["notes"] = notes
    return answer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--questions", required=True)
    options = parser.parse_args()
    with open(options.config, encoding="utf-8") as file:
        config = json.load(file)
    oracle = Oracle(read_events(options.events, config), config)
    with open(options.questions, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                json.dump(oracle.answer(json.loads(line)), sys.stdout, sort_keys=True, ensure_ascii=False)
                sys.stdout.write("\n")


if __name__ == "__main__":
    main()

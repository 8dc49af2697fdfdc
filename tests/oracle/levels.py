"""Service levels, METRICS.md section 6, by brute force and in exact fractions."""

from fractions import Fraction

from metrics import Row, ratio
from values import SECOND, parse_duration
from world import matches

WINDOWS = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
KINDS = {"pipeline_runs": "pipeline_run_finished", "environments": "environment_provisioned", "probes": "probe_finished",
         "requests": "requests_observed"}
NAMES = {"pipeline_runs": "pipeline", "probes": "probe", "requests": "indicator"}


def objectives(world):
    return world.config.get("slo", {})


def selected(world, slo, event):
    names = {"capability": event.capability, "service": event.service, "team": world.team_of(event)}
    return all(name not in slo or (value is not None and matches(slo[name], value)) for name, value in names.items())


def moments(world, slo):
    """(instant, good, valid) of everything that an objective looks at before T."""
    sli = slo["sli"]
    if sli == "interactions":
        return interactions(world, slo)
    found = []
    for event in world.seen:
        if sli == "deploys":
            fits = event.kind == "deployed" and event.service is not None
            if fits and "environment" in slo:
                fits = matches(slo["environment"], event.body.get("environment") or "")
            if fits and selected(world, slo, event):
                found.append((event.at, int(event.succeeded()), 1))
            continue
        if event.kind != KINDS[sli] or not selected(world, slo, event):
            continue
        if "name" in slo and not (NAMES[sli] in event.body and matches(slo["name"], event.body[NAMES[sli]])):
            continue
        if sli == "requests":
            found.append((event.at, event.body["good"], event.body["total"]))
            continue
        outcome = event.body.get("outcome")
        if outcome is None:             # 'pipeline runs whose outcome is known'
            continue
        good = outcome == "success"
        if good and "threshold" in slo:
            if "duration_seconds" not in event.body:
                continue                # 'a successful one that does not say how long it took is left out'
            good = event.body["duration_seconds"] <= parse_duration(slo["threshold"])
        found.append((event.at, int(good), 1))
    return found


def interactions(world, slo):
    """'Abandoned is valid and not good.'"""
    found = []
    for events in world.interaction_events.values():
        finishes = [event for event in events if event.kind == "interaction_finished"]
        if finishes:
            setter, at, good = finishes[0], finishes[0].at, finishes[0].succeeded()
        else:
            setter = events[0]
            at, good = setter.at + world.timeout({}, setter) * SECOND, False
            if at >= world.instant:
                continue
        if selected(world, slo, setter):
            found.append((at, int(good), 1))
    return found


def good_and_valid(world, slo, window):
    """'Windows are [T-w, T) in event time.'"""
    seen = [(good, valid) for at, good, valid in moments(world, slo)
            if world.instant - parse_duration(window) * SECOND <= at < world.instant]
    return sum(good for good, _ in seen), sum(valid for _, valid in seen)


def counts(good, valid):
    return {"good": good, "bad": valid - good}


def of_window(world, scope, window=None):
    slo = objectives(world)[scope["slo"]]
    good, valid = good_and_valid(world, slo, window or slo.get("window", "28d"))
    # '(1 - SLI) / (1 - objective)'
    burnt = Fraction(valid - good, valid) / (1 - Fraction(slo["objective"])) if valid else None
    return good, valid, burnt


def slo_sli(world, question, scope):
    good, valid, _ = of_window(world, scope)
    return ratio(good, valid, counts(good, valid))


def slo_error_budget_remaining(world, question, scope):
    good, valid, burnt = of_window(world, scope)
    return Row({"value": None if burnt is None else float(1 - burnt), "counts": counts(good, valid)}, set())


def slo_burn_rate(world, question, scope, window):
    good, valid, burnt = of_window(world, scope, window)
    return Row({"value": None if burnt is None else float(burnt), "counts": counts(good, valid)}, set())


def slo_compliance(world, question, scope):
    """'SLOs with SLI >= objective / SLOs with data'"""
    found = {"met": 0, "missed": 0, "no_data": 0}
    for name in [scope["slo"]] if "slo" in scope else objectives(world):
        good, valid, _ = of_window(world, {"slo": name})
        if not valid:
            found["no_data"] += 1
        elif Fraction(good, valid) >= Fraction(objectives(world)[name]["objective"]):
            found["met"] += 1
        else:
            found["missed"] += 1
    return ratio(found["met"], found["met"] + found["missed"], found)

"""The core metrics, METRICS.md section 5, each for one scope: {"capability"?, "team"?, "service"?}.

Every function gives a Row: the value's members, and the persons it is about (see CHOICES.md)."""

import collections

from values import SECOND, day_of, in_trailing, is_complete, nps_score, parse_days, quantiles, whole_seconds, wilson

Row = collections.namedtuple("Row", "members persons")

CURVE = [7, 14, 30, 60, 90, 180, 365]


def ratio(numerator, denominator, counts):
    """'A ratio travels with numerator, denominator and the 95 % Wilson interval'"""
    value, low, high = wilson(numerator, denominator)
    return Row({"value": value, "numerator": numerator, "denominator": denominator,
                "low": low, "high": high, "counts": counts}, set())


def market_share(world, question, scope):
    """'denominator: eligible units that exist; numerator: those of them that used c in the trailing W'"""
    capability, unit_kind = scope["capability"], question.get("unit", "team")
    width = parse_days(question.get("window", "28d"))
    numerator, denominator = 0, 0
    for name in world.existing[unit_kind]:
        if world.eligible(unit_kind, name, capability) and world.unit_in_scope(unit_kind, name, scope):
            denominator += 1
            uses = [day for day in world.uses(unit_kind).get((name, capability), [])
                    if in_trailing(day, width, world.instant)]
            if uses:
                numerator += 1
    return ratio(numerator, denominator, {})


def keep_rate(world, question, scope, horizon=None):
    """The two keep_rate rows of the table."""
    capability, unit_kind = scope["capability"], question.get("unit", "team")
    if horizon is None:
        horizon = parse_days(question.get("horizon", "90d"))
    grace = parse_days(question.get("grace", "28d"))
    max_age = parse_days(question["max_age"]) if question.get("max_age") else None
    rule = question.get("rule", "window_after")
    since = world.observed_since(capability)
    # 'counts, in this order of precedence and adding up to the units with a use before T'
    counts = dict.fromkeys(["retired", "not_eligible", "left_censored", "too_old", "pending", "cohort"], 0)
    kept = 0
    for (name, used), uses in world.uses(unit_kind).items():
        if used != capability or not world.unit_in_scope(unit_kind, name, scope):
            continue
        # 'Adoption day of (u, c): the first day of use ever; reopening does not reset it.'
        days = set(uses)
        adoption = min(days)
        if name not in world.existing[unit_kind]:
            counts["retired"] += 1          # '(do not exist at T)'
            continue
        if not world.eligible(unit_kind, name, capability):
            counts["not_eligible"] += 1
            continue
        # From here on: 'adopters: eligible existing units whose first use of c is before T'
        if since is not None and since <= adoption <= since + grace - 1:
            counts["left_censored"] += 1    # 'units first seen using it within G days after that'
        elif max_age is not None and not adoption > world.last_day - max_age:
            counts["too_old"] += 1          # 'else A > D-max_age'
        elif not is_complete(last_day_of_cohort(rule, adoption, horizon, grace), world.instant):
            counts["pending"] += 1
        else:
            counts["cohort"] += 1
            if days & set(days_that_keep(rule, adoption, horizon, grace, world.last_day)):
                kept += 1
    return ratio(kept, counts["cohort"], counts)


def last_day_of_cohort(rule, adoption, horizon, grace):
    """'Cohort: adopters whose days up to A+H+G-1 are complete.' Other rules: 'Cohort: A+H complete.'"""
    return adoption + horizon + grace - 1 if rule == "window_after" else adoption + horizon


def days_that_keep(rule, adoption, horizon, grace, last_day):
    """The days of which one with a use is enough."""
    at_horizon = adoption + horizon
    if rule == "window_after":      # 'a use on at least one of A+H ... A+H+G-1'
        return range(at_horizon, at_horizon + grace)
    if rule == "exact_day":         # 'use on A+H'
        return range(at_horizon, at_horizon + 1)
    if rule == "window_before":     # 'on max(A+1, A+H-G+1) ... A+H'
        return range(max(adoption + 1, at_horizon - grace + 1), at_horizon + 1)
    if rule == "any_repeat":        # 'on A+1 ... A+H'
        return range(adoption + 1, at_horizon + 1)
    if rule == "on_or_after":       # 'on any day from A+H to D'
        return range(at_horizon, last_day + 1)
    raise ValueError(f"no such rule: {rule}")


def durations(finished, censored, counts, persons, question):
    return Row({"quantiles": quantiles(finished, censored, question.get("estimator")), "counts": counts}, persons)


def first_retirement(world, service, after, before):
    """'A retirement after r and strictly before the end censors': the first such instant, or None."""
    instants = [event.at for event in world.seen
                if event.kind == "service_retired" and event.service == service and after < event.at < before]
    return min(instants) if instants else None


def time_to_first_deploy(world, question, scope):
    width = parse_days(question.get("window", "180d"))
    counts = dict.fromkeys(["pre_existing", "off_path", "retired", "waiting", "deployed"], 0)
    finished, censored = [], []
    earliest = {}                   # world.seen is in order, so the first met is the earliest
    for event in world.seen:
        if event.kind == "service_registered" and event.service is not None:
            earliest.setdefault(event.service, event)
    for service, registration in earliest.items():
        # 'subjects: services whose earliest registration r lies in the trailing P.'
        if not in_trailing(day_of(registration.at), width, world.instant) or not world.event_in_scope(registration, scope):
            continue
        # 'End: the first successful production deploy.'
        deploys = world.production_deploys(service)
        end = deploys[0] if deploys else None
        # 'If it comes before r, or that earliest registration says `preexisting`: no subject, counted `pre_existing`.'
        if (end is not None and end.at < registration.at) or registration.body.get("preexisting"):
            counts["pre_existing"] += 1
            continue
        # 'A retirement after r and strictly before the end censors, `retired`.'
        retirement = first_retirement(world, service, registration.at, end.at if end is not None else world.instant)
        if retirement is not None:
            counts["retired"] += 1
            censored.append(whole_seconds(retirement - registration.at))
        elif end is None:           # 'Nothing by T: censored at T, `waiting`.'
            counts["waiting"] += 1
            censored.append(whole_seconds(world.instant - registration.at))
        elif not world.on_golden_path(end):     # 'If it is off the golden path: censored at that moment, `off_path`.'
            counts["off_path"] += 1
            censored.append(whole_seconds(end.at - registration.at))
        else:                       # 'Else the duration end - r, `deployed`.'
            counts["deployed"] += 1
            finished.append(whole_seconds(end.at - registration.at))
    return durations(finished, censored, counts, set(), question)


def onboarding_time(world, question, scope):
    width = parse_days(question.get("window", "180d"))
    counts = dict.fromkeys(["excluded_retired", "retired", "waiting", "shipped", "elite", "middle", "struggling"], 0)
    finished, censored, persons = [], [], set()
    earliest, deploys_of, closings_of = {}, {}, {}
    for event in world.seen:
        if event.kind == "onboarding_started" and event.actor is not None and event.service is not None:
            earliest.setdefault((event.actor, event.service), event)
    for (developer, service), start in earliest.items():
        # 'subjects: (developer, service) pairs whose earliest start s lies in the trailing P.'
        if not in_trailing(day_of(start.at), width, world.instant) or not world.event_in_scope(start, scope):
            continue
        if service not in deploys_of:
            deploys_of[service] = world.production_deploys(service)
            closings_of[service] = [event for event in world.seen if event.service == service
                                    and event.kind in ("service_registered", "service_retired")]
        # 'A start at or after a retirement with no registration since (at the same instant the registration wins) is no
        # subject, counted `excluded_retired`; a later start does not make the pair one.'
        retired = [e.at for e in closings_of[service] if e.kind == "service_retired" and e.at <= start.at]
        registered = [e.at for e in closings_of[service] if e.kind == "service_registered" and e.at <= start.at]
        if retired and not any(at >= max(retired) for at in registered):
            counts["excluded_retired"] += 1
            continue
        persons.add(developer)
        # 'End: the first successful production deploy of the service at or after s with a change by that developer'
        ends = [event for event in deploys_of[service] if event.at >= start.at and has_change_by(event, developer)]
        end = ends[0] if ends else None
        # 'A retirement after s and strictly before the end censors, `retired`; else at T, `waiting`; else `shipped`'
        retirement = first_retirement(world, service, start.at, end.at if end is not None else world.instant)
        if retirement is not None:
            counts["retired"] += 1
            censored.append(whole_seconds(retirement - start.at))
        elif end is None:
            counts["waiting"] += 1
            censored.append(whole_seconds(world.instant - start.at))
        else:
            counts["shipped"] += 1
            seconds = whole_seconds(end.at - start.at)
            finished.append(seconds)
            # 'of these `elite` (< 2 h), `middle`, `struggling` (> 24 h)'
            counts["elite" if seconds < 2 * 3600 else "struggling" if seconds > 24 * 3600 else "middle"] += 1
    return durations(finished, censored, counts, persons, question)


def has_change_by(deploy, developer):
    """'(`changes[].author`; without `changes`, or with none in it, the deploy's actor)'"""
    changes = deploy.body.get("changes", [])
    if not changes:
        return deploy.actor == developer
    return any(change.get("author") == developer for change in changes)


def self_service_rate(world, question, scope):
    width = parse_days(question.get("window", "28d"))
    counts = dict.fromkeys(["self_served", "assisted", "failed", "abandoned", "pending"], 0)
    for events in world.interaction_events.values():
        finishes = [event for event in events if event.kind == "interaction_finished"]
        starts = [event for event in events if event.kind == "interaction_started"]
        # 'finished (its first finish before T, on that day; outcome success, failure or cancelled; `assisted` absent
        # counts as assisted), else abandoned at start + time-out if that is before T, on that day, else `pending`.'
        if finishes:
            setter = finishes[0]
            day = day_of(setter.at)
            if not setter.succeeded():
                state = "failed"
            elif setter.body.get("assisted", True):
                state = "assisted"
            else:
                state = "self_served"
        else:
            setter = starts[0]      # settled: the earliest start counts
            deadline = setter.at + world.timeout(question, setter) * SECOND
            day = day_of(deadline)
            state = "abandoned" if deadline < world.instant else "pending"
        # 'capability and owner are those of the event that set its state'
        if not world.event_in_scope(setter, scope):
            continue
        # 'Denominator: finished or abandoned in the trailing W.'
        if state == "pending" or in_trailing(day, width, world.instant):
            counts[state] += 1
    denominator = sum(counts.values()) - counts["pending"]
    # 'Numerator: success and not assisted.'
    return ratio(counts["self_served"], denominator, counts)


def nps(world, question, scope):
    """'each respondent's last answer (latest occurred_at, then id) in the trailing W, integers 0-10'"""
    width = parse_days(question.get("window", "90d"))
    surveys = [event for event in world.seen
               if event.kind in ("survey_answered", "survey_invited") and world.event_in_scope(event, scope)]
    in_window = [event for event in surveys if in_trailing(day_of(event.at), width, world.instant)]
    answers = [event for event in in_window if event.kind == "survey_answered"]
    last = {}
    for event in sorted(answers, key=lambda event: (event.at, event.id, event.source)):
        last[event.body["respondent"]] = event.body["score"]
    counts = {
        "promoters": sum(1 for score in last.values() if score >= 9),
        "passives": sum(1 for score in last.values() if 7 <= score <= 8),
        "detractors": sum(1 for score in last.values() if score <= 6),
    }
    value, low, high = nps_score(counts["promoters"], counts["passives"], counts["detractors"])
    # 'and `invited` where invitations are known'. Settled: if any invitation of the group is before T.
    if any(event.kind == "survey_invited" for event in surveys):
        counts["invited"] = len({event.body["respondent"] for event in in_window if event.kind == "survey_invited"})
    return Row({"value": value, "low": low, "high": high, "counts": counts}, set(last))

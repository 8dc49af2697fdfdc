"""The delivery metrics, METRICS.md section 7, each for one scope: {"team"?, "service"?}, by brute force."""

import collections
import statistics

from metrics import Row, durations, ratio
from values import SECOND, day_of, in_trailing, parse_days, parse_duration, parse_instant, whole_seconds

FREQUENCIES = ["day", "week"]
PARTS = ["whole", "coding", "review", "waiting"]


def window(question):
    return parse_days(question.get("window", "28d"))


def in_window(world, question, instant):
    return in_trailing(day_of(instant), window(question), world.instant)


def production(world, event):
    return event.kind == "deployed" and event.service is not None and event.body.get("environment") in world.production


def successes(world):
    """The successful production deploys before T, in order."""
    return [event for event in world.seen if production(world, event) and event.succeeded()]


def median(numbers):
    return float(statistics.median(numbers)) if numbers else None


def deployment_frequency(world, question, scope, per):
    """'successful deploys / W days; also the median per week, empty weeks counted'. 'weeks = seven-day blocks ending at D'"""
    known = [event for event in successes(world) if world.event_in_scope(event, scope)]
    days = [day_of(event.at) for event in known if in_window(world, question, event.at)]
    width, last, rule = window(question), world.last_day, question.get("rule", "milepost")
    value = None
    # 'No value before the first successful production deploy.'
    if not known:
        pass
    elif (rule, per) == ("milepost", "day"):
        value = len(days) / width
    elif (rule, per) == ("milepost", "week"):
        value = median([sum(last - 7 * n - 6 <= day <= last - 7 * n for day in days) for n in range(width // 7)])
    elif (rule, per) in (("devlake", "week"), ("four_keys", "week")):
        # Day 0 was a Thursday, so day 4 a Monday and day 3 a Sunday: 'the weeks that share a day with the window'
        first = 4 if rule == "devlake" else 3
        weeks = {(day - first) // 7 for day in range(last - width + 1, last + 1)}
        value = median([len({day for day in days if (day - first) // 7 == week}) for week in weeks])
    elif (rule, per) == ("middleware", "day"):
        value = float(len(days) // width)
    return Row({"value": value, "counts": {"deploys": len(days)}}, set())


def lead_time_for_changes(world, question, scope, part):
    """'changes whose first successful production deploy is in W: committed -> deployed'"""
    by_change = collections.defaultdict(list)
    for event in successes(world):
        for number, change in enumerate(event.body.get("changes", [])):
            if "committed_at" in change:
                # 'a change without an id is one of its own with each deploy'
                name = change.get("id") or (event.source, event.id, number)
                by_change[event.service, name].append((event.at, parse_instant(change["committed_at"])))
    counts = dict.fromkeys(["delivered", "unknown", "out_of_order"], 0)
    finished = []
    for (service, name), deploys in by_change.items():
        deployed = min(at for at, _ in deploys)
        # 'where several deploys at that first instant do, the earliest commit counts'
        committed = min(commit for at, commit in deploys if at == deployed)
        owner = world.owner(service, deployed)
        if not in_window(world, question, deployed) or not fits(scope, owner, service):
            continue
        proposed, merged = (milestone(world, kind, name) for kind in ("change_created", "change_merged"))
        begin, end = {"whole": (committed, deployed), "coding": (committed, proposed),
                      "review": (proposed, merged), "waiting": (merged, deployed)}[part]
        if begin is None or end is None:
            counts["unknown"] += 1
        elif begin > end:
            counts["out_of_order"] += 1
        else:
            counts["delivered"] += 1
            finished.append(whole_seconds(end - begin))
    return durations(finished, [], counts, set(), {})


def milestone(world, kind, change):
    found = [event.at for event in world.seen if event.kind == kind and event.body.get("change_id") == change]
    return min(found) if found else None


def fits(scope, team, service):
    return ("team" not in scope or team == scope["team"]) and ("service" not in scope or service == scope["service"])


class Incident:
    """An incident as of T, from all its events before T, in order."""

    def __init__(self, world, events):
        begins = [event for event in events if event.kind != "incident_resolved"]
        detected = [event.at for event in events if event.kind == "incident_detected"]
        self.began = begins[0].at if begins else None
        since = max(detected) if detected else self.began
        resolved = [e.at for e in events if e.kind == "incident_resolved" and (since is None or e.at >= since)]
        self.resolved = min(resolved) if resolved else None

        def latest(name):
            said = [name(event) for event in begins if name(event) is not None]
            return said[-1] if said else None

        self.service = latest(lambda event: event.service)
        self.environment = latest(lambda event: event.body.get("environment"))
        self.artifact = latest(lambda event: event.body.get("artifact_id"))
        self.named_team = latest(lambda event: event.team)
        self.links = {link for event in begins for link in event.body.get("links", [])}
        self.in_production = self.environment is None or self.environment in world.production

    def team(self, world, at):
        if self.named_team is not None or self.service is None:
            return self.named_team
        return world.owner(self.service, at)

    def in_scope(self, world, scope, at):
        return fits(scope, self.team(world, at), self.service)


def incidents(world):
    by_identity = collections.defaultdict(list)
    for event in world.seen:
        if event.kind in ("incident_detected", "incident_reported", "incident_resolved"):
            by_identity[event.source, event.body.get("incident_id") or event.id].append(event)
    return [Incident(world, events) for events in by_identity.values()]


def cause(world, incident, deploys, rule):
    """(reason, deploy), or (None, None)."""
    if rule in ("devlake", "middleware"):
        before = [deploy for deploy in deploys if deploy.at < incident.began + (rule == "middleware")]
        return ("nearby", before[-1]) if before else (None, None)
    linked = [deploy for deploy in deploys if deploy.id in incident.links]
    if linked:
        return "linked", linked[-1]
    before = [deploy for deploy in deploys if deploy.at <= incident.began
              and incident.service in (None, deploy.service)
              and incident.environment in (None, deploy.body["environment"])]
    same = [deploy for deploy in before if incident.artifact and deploy.body.get("artifact_id") == incident.artifact]
    if same:
        return "artifact", same[-1]
    gap = parse_duration(world.config.get("incident_gap", "24h")) * SECOND
    if incident.service is not None and before and incident.began - before[-1].at <= gap:
        return "nearby", before[-1]
    return None, None


def faults(world, rule):
    """(deploy -> reason -> what says so, the incidents without a cause), over all time before T."""
    deploys = successes(world)
    found, orphans = collections.defaultdict(lambda: collections.defaultdict(list)), []
    for incident in incidents(world):
        if incident.began is None or not incident.in_production:
            continue
        reason, deploy = cause(world, incident, deploys, rule)
        if deploy is None:
            orphans.append(incident)
        else:
            found[deploy.source, deploy.id][reason].append(incident)
    for place, rollback in enumerate(deploys):
        if rule != "milepost" or rollback.body.get("kind") != "rolled_back":
            continue
        # 'the latest successful deploy of its service to its environment before it that is no rollback'
        undone = [d for d in deploys[:place] if d.body.get("kind") != "rolled_back" and same_place(d, rollback)]
        if undone:
            found[undone[-1].source, undone[-1].id]["rolled_back"].append(rollback)
    return found, orphans


def same_place(one, other):
    return one.service == other.service and one.body["environment"] == other.body["environment"]


ORDER = ["linked", "artifact", "rolled_back", "nearby"]


def change_failure_rate(world, question, scope):
    """'successful deploys of W that were later rolled back or named as cause by an incident, known by T / successful deploys of W'"""
    found, orphans = faults(world, question.get("rule", "milepost"))
    counts = dict.fromkeys([*ORDER, "good", "unattributed"], 0)
    for deploy in successes(world):
        if in_window(world, question, deploy.at) and world.event_in_scope(deploy, scope):
            said = found.get((deploy.source, deploy.id), {})
            counts[next((reason for reason in ORDER if reason in said), "good")] += 1
    counts["unattributed"] = sum(in_window(world, question, incident.began) and incident.in_scope(world, scope, incident.began)
                                 for incident in orphans)
    failed = sum(counts[reason] for reason in ORDER)
    return ratio(failed, failed + counts["good"], counts)


def failed_deployment_recovery_time(world, question, scope):
    """'those failed deploys: deploy -> the incident's resolution, else the next good deploy; censored at T'"""
    found, _ = faults(world, "milepost")
    deploys = successes(world)
    finished, censored = [], []
    for place, deploy in enumerate(deploys):
        said = found.get((deploy.source, deploy.id))
        if not said or not in_window(world, question, deploy.at) or not world.event_in_scope(deploy, scope):
            continue
        blamed = [incident for reason in ("linked", "artifact", "nearby") for incident in said.get(reason, [])]
        if blamed:
            ends = [incident.resolved for incident in blamed]
            end = None if None in ends else max(ends)
        else:
            good = [d.at for d in deploys[place + 1:] if same_place(d, deploy) and (d.source, d.id) not in found]
            end = good[0] if good else None
        (censored if end is None else finished).append(whole_seconds(max(0, (world.instant if end is None else end) - deploy.at)))
    return durations(finished, censored, {"recovered": len(finished), "unrecovered": len(censored)}, set(), question)


def rework_rate(world, question, scope):
    """'deploys of W marked unplanned (hotfix, rollback) / deploys of W'"""
    counts = dict.fromkeys(["rolled_back", "hotfix", "planned"], 0)
    for event in world.seen:
        if production(world, event) and in_window(world, question, event.at) and world.event_in_scope(event, scope):
            if event.body.get("kind") == "rolled_back":
                counts["rolled_back"] += 1
            else:
                counts["hotfix" if event.body.get("unplanned") else "planned"] += 1
    return ratio(counts["rolled_back"] + counts["hotfix"], sum(counts.values()), counts)


def time_to_restore(world, question, scope):
    """'incidents resolved in W: detected -> resolved; open ones censored'"""
    counts = dict.fromkeys(["resolved", "open", "elsewhere", "undetected"], 0)
    finished, censored = [], []
    for incident in incidents(world):
        if incident.resolved is not None and not in_window(world, question, incident.resolved):
            continue
        if not incident.in_scope(world, scope, incident.began if incident.began is not None else incident.resolved):
            continue
        if incident.began is None:
            counts["undetected"] += 1
        elif not incident.in_production:
            counts["elsewhere"] += 1
        elif incident.resolved is None:
            counts["open"] += 1
            censored.append(whole_seconds(world.instant - incident.began))
        else:
            counts["resolved"] += 1
            finished.append(whole_seconds(incident.resolved - incident.began))
    return durations(finished, censored, counts, set(), question)

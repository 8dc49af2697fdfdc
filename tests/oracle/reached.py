"""Which rules a generated history, its questions and their answers reach, counted by name."""

import collections

import values

NAMES = """
retired not_eligible left_censored too_old pending cohort kept pre_existing off_path waiting deployed excluded_retired shipped elite
middle struggling self_served assisted failed abandoned promoters passives detractors invited withheld withheld-too mandated no-value
no-quantile quantile nps-margin nps-no-margin now-on-an-event now-just-after-an-event now-at-midnight empty-answer
by-capability by-team by-service filter-capability filter-team filter-service unit-service rule-window_after rule-exact_day
rule-window_before rule-any_repeat rule-on_or_after estimator max_age timeout ttfd-retired onboarding-retired window-29-february
conflict conflict-other-team duplicate retraction-after retraction-before restored type-changed moved-to-other-day
preexisting repository.created service.removed pipelinerun.finished change.merged upgraded rolledback robot midnight microseconds
offset leap-day year-end no-outcome failed-deploy staging no-capability empty-team non-ascii
retired-and-registered-at-once reregistered owner-changed owner-changed-on-a-day-of-use use-before-first-registration
deploy-before-registration start-only finish-without-start finished-twice finish-after-time-out shared-interaction-id assisted-absent
last-answer-at-the-same-instant same-instant mandated-registered observed-since-registered team-retired capability-retired
deploys delivered unknown out_of_order linked artifact rolled_back nearby good unattributed recovered unrecovered hotfix planned
resolved open elsewhere undetected rule-milepost rule-devlake rule-four_keys rule-middleware frequency no-frequency
bad met missed no_data overspent no-burn-rate filter-slo incident-reopened incident-reported-after-resolution change-deployed-twice
""".split()


def look_at_answers(question, answers, reached):
    reached["filter-slo"] += "slo" in question
    for name in ("capability", "team", "service"):
        reached[f"by-{name}"] += question.get("by") == name
        reached[f"filter-{name}"] += name in question
    for name in ("estimator", "max_age", "timeout"):
        reached[name] += name in question
    reached[f"unit-{question.get('unit')}"] += 1
    reached[f"rule-{question.get('rule')}"] += 1
    reached["now-at-midnight"] += question.get("now", "").endswith("T00:00:00.000000Z")
    reached["empty-answer"] += not answers
    hidden = sum("withheld" in a.get("notes", []) for a in answers)
    reached["withheld-too"] += "by" in question and question["by"] != "capability" and len(answers) > 2 and hidden == 2
    reached["window-29-february"] += question.get("as_of") == "2020-02-29"
    for answer in answers:
        for name, count in answer["counts"].items():
            reached[name] += count
        for note in answer.get("notes", []):
            reached[note] += 1
        if "withheld" in answer.get("notes", []):
            continue
        reached["kept"] += question["metric"] == "keep_rate" and answer["numerator"]
        reached["no-value"] += "value" in answer and answer["value"] is None
        if "quantiles" in answer:
            reached["quantile"] += answer["quantiles"]["0.9"] is not None
            reached["no-quantile"] += answer["counts"].get("waiting", 0) > 0 and answer["quantiles"]["0.9"] is None
            if "retired" in answer["counts"]:
                reached["ttfd-retired" if "deployed" in answer["counts"] else "onboarding-retired"] += answer["counts"]["retired"]
        if question["metric"] == "slo_error_budget_remaining" and answer["value"] is not None:
            reached["overspent"] += answer["value"] < 0
        if question["metric"] == "slo_burn_rate":
            reached["no-burn-rate"] += answer["value"] is None
        if question["metric"] == "deployment_frequency":
            reached["no-frequency" if answer["value"] is None else "frequency"] += 1
        if question["metric"] == "nps" and answer["value"] is not None:
            reached["nps-no-margin" if answer["low"] is None else "nps-margin"] += 1
        # What a ratio says adds up.
        if "cohort" in answer["counts"]:
            assert answer["denominator"] == answer["counts"]["cohort"] and 0 <= answer["numerator"] <= answer["denominator"]


def look_at_records(records, reached):
    versions = collections.defaultdict(list)
    for place, r in enumerate(records):
        versions[r["context"]["source"], r["context"]["id"]].append((place, r))
        kind, data, content, text = r["context"]["type"], r["customData"], r["subject"]["content"], r["context"]["timestamp"]
        for name in ("repository.created", "service.removed", "pipelinerun.finished", "change.merged", "upgraded", "rolledback"):
            reached[name] += name in kind
        instant = values.parse_instant(text)
        day = values.format_day(values.day_of(instant))
        reached["midnight"] += instant % values.DAY == 0
        reached["microseconds"] += instant % values.SECOND != 0
        reached["offset"] += text.endswith("+02:00")
        reached["leap-day"] += day == "2020-02-29"
        reached["year-end"] += day[4:] in ("-12-31", "-01-01")
        reached["robot"] += data.get("actor") == "merge-robot"
        reached["empty-team"] += data.get("team") == ""
        reached["non-ascii"] += not data.get("team", "").isascii()
        reached["preexisting"] += bool(data.get("preexisting") or content.get("preexisting"))
        reached["team-retired"] += "team.retired" in kind
        reached["capability-retired"] += "capability.retired" in kind
        if "capability.registered" in kind:
            reached["mandated-registered"] += bool(content.get("mandated"))
            reached["observed-since-registered"] += "observedSince" in content
        if "service.deployed" in kind:
            reached["no-outcome"] += "outcome" not in data
            reached["failed-deploy"] += data.get("outcome") == "failure"
            reached["staging"] += content["environment"]["id"] == "staging"
            reached["no-capability"] += "capability" not in data
    for same in versions.values():
        gone = [(place, r["customData"]["revision"]) for place, r in same if "event.retracted" in r["context"]["type"]]
        for (place, r) in same:
            revision = r["customData"].get("revision", 0)
            for other_place, other in same:
                if other_place == place or "event.retracted" in other["context"]["type"]:
                    continue
                reached["duplicate"] += other == r
                if other["customData"].get("revision", 0) == revision and other != r:
                    reached["conflict"] += 1
                    reached["conflict-other-team"] += other["customData"].get("team") != r["customData"].get("team")
                elif other["customData"].get("revision", 0) > revision and "retracted" not in r["context"]["type"]:
                    reached["type-changed"] += other["context"]["type"] != r["context"]["type"]
                    reached["moved-to-other-day"] += other["context"]["timestamp"][:10] != r["context"]["timestamp"][:10]
            for gone_place, gone_revision in gone:
                reached["retraction-after"] += gone_place > place and gone_revision > revision
                reached["retraction-before"] += gone_place < place and gone_revision > revision
                reached["restored"] += revision > gone_revision


def look_at_history(there, reached):
    by_service = collections.defaultdict(list)
    instants = collections.Counter(event.at for event in there.seen)
    reached["same-instant"] += sum(count > 1 for count in instants.values())
    for event in there.seen:
        by_service[event.service].append(event)
    by_service.pop(None, None)
    for service, happened in by_service.items():
        registered_at = [e.at for e in happened if e.kind == "service_registered"]
        retired_at = [e.at for e in happened if e.kind == "service_retired"]
        owners = [(e.at, there.named_owner(e)) for e in there.registrations_of[service]]
        reached["retired-and-registered-at-once"] += bool(set(registered_at) & set(retired_at))
        reached["reregistered"] += any(r > gone for gone in retired_at for r in registered_at)
        changed = {values.day_of(b[0]) for a, b in zip(owners, owners[1:]) if a[1] != b[1]}
        reached["owner-changed"] += bool(changed)
        for e in happened:
            if e.team is None and there.is_use(e):
                reached["owner-changed-on-a-day-of-use"] += values.day_of(e.at) in changed
                reached["use-before-first-registration"] += bool(owners) and e.at < owners[0][0]
        ends = there.production_deploys(service)
        reached["deploy-before-registration"] += bool(ends and registered_at) and ends[0].at < registered_at[0]
    for kind, after in (("detected", "incident-reopened"), ("reported", "incident-reported-after-resolution")):
        over = {}
        for event in there.seen:
            identity = event.source, event.body.get("incident_id")
            if event.kind == "incident_resolved":
                over[identity] = event.at
            reached[after] += event.kind == f"incident_{kind}" and event.at > over.get(identity, event.at)
    shipped = collections.Counter((event.service, change.get("id")) for event in there.seen if event.kind == "deployed"
                                  for change in event.body.get("changes", []) if "committed_at" in change)
    reached["change-deployed-twice"] += any(count > 1 for count in shipped.values())
    sources = collections.defaultdict(set)
    for (source, name), happened in there.interaction_events.items():
        sources[name].add(source)
        starts = [e for e in happened if e.kind == "interaction_started"]
        ends = [e for e in happened if e.kind == "interaction_finished"]
        reached["start-only"] += not ends
        reached["finish-without-start"] += not starts
        reached["finished-twice"] += len(ends) > 1
        reached["finish-after-time-out"] += bool(starts and ends) and ends[0].at > starts[0].at + there.timeout({}, starts[0]) * values.SECOND
        reached["assisted-absent"] += any("assisted" not in e.body for e in ends)
    reached["shared-interaction-id"] += sum(len(found) > 1 for found in sources.values())
    answers = collections.Counter((e.at, e.body["respondent"]) for e in there.seen if e.kind == "survey_answered")
    reached["last-answer-at-the-same-instant"] += any(count > 1 for count in answers.values())

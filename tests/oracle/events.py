"""Reading events and settling which version of each counts: schemas/README.md and METRICS.md section 2."""

import dataclasses
import gzip
import hashlib
import hmac
import json
import re

from values import format_instant, parse_instant

# The table "Types" of schemas/README.md: type without its version -> (subject, body).
MILEPOST = "dev.cdeventsx.milepost-"
TYPES = {
    MILEPOST + "team.registered": ("team", "team_registered"),
    MILEPOST + "team.retired": ("team", "team_retired"),
    MILEPOST + "service.registered": ("service", "service_registered"),
    MILEPOST + "service.retired": ("service", "service_retired"),
    MILEPOST + "capability.registered": ("capability", "capability_registered"),
    MILEPOST + "capability.retired": ("capability", "capability_retired"),
    MILEPOST + "capability.used": ("capability", "capability_used"),
    MILEPOST + "interaction.started": ("capability", "interaction_started"),
    MILEPOST + "interaction.finished": ("capability", "interaction_finished"),
    MILEPOST + "onboarding.started": ("service", "onboarding_started"),
    MILEPOST + "survey.invited": (None, "survey_invited"),
    MILEPOST + "survey.answered": (None, "survey_answered"),
    MILEPOST + "event.retracted": (None, "retracted"),
    "dev.cdevents.service.deployed": ("service", "deployed"),
    "dev.cdevents.service.upgraded": ("service", "deployed"),
    "dev.cdevents.service.rolledback": ("service", "deployed"),
    "dev.cdevents.service.removed": ("service", "service_removed"),
    "dev.cdevents.repository.created": ("service", "service_registered"),
    "dev.cdevents.pipelinerun.finished": (None, "pipeline_run_finished"),
    "dev.cdevents.change.merged": (None, "change_merged"),
    "dev.cdevents.change.created": (None, "change_created"),
    "dev.cdevents.incident.detected": ("incident", "incident_detected"),
    "dev.cdevents.incident.reported": ("incident", "incident_reported"),
    "dev.cdevents.incident.resolved": ("incident", "incident_resolved"),
    MILEPOST + "environment.provisioned": (None, "environment_provisioned"),
    MILEPOST + "probe.finished": ("capability", "probe_finished"),
    MILEPOST + "requests.observed": ("service", "requests_observed"),
}
# 'kind (only upgraded or rolled_back)'
KINDS_OF_DEPLOY = {"dev.cdevents.service.upgraded": "upgraded", "dev.cdevents.service.rolledback": "rolled_back"}
VERSIONED = re.compile(r"(.*?)\.\d+\.\d+\.\d+(?:-.*)?$")
OUTCOMES = {"success": "success", "failure": "failure", "error": "failure", "cancelled": "cancelled", "cancel": "cancelled"}


@dataclasses.dataclass
class Event:
    source: str
    id: str
    revision: int
    at: int                 # microseconds
    team: str | None
    service: str | None
    capability: str | None
    actor: str | None       # a pseudonym, like every person
    kind: str               # the body's type
    body: dict              # the body's fields in snake case, absent and default values left out
    content_hash: str = ""

    def order(self):
        """'Of events at the same instant the one with the smallest (source, id) is first.'"""
        return (self.at, self.source, self.id)

    def succeeded(self):
        """'A deploy with no outcome is a success.'"""
        return self.body.get("outcome", "success") == "success"


def pseudonym(name, key, known={}):
    """'p- and the first 32 hex digits of HMAC-SHA256(key, name in UTF-8)'"""
    if not name:
        return None
    if (key, name) not in known:
        known[key, name] = "p-" + hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:32]
    return known[key, name]


def without_absent(fields):
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def linked(context):
    """'the ids of the events that `context.links` name (`from`, `target`), each once'"""
    ids = []
    for link in context.get("links") or []:
        for end in ("from", "target"):
            identity = (link.get(end) or {}).get("contextId")
            if identity and identity not in ids:
                ids.append(identity)
    return ids


def parse_body(name, kind, context, subject, data, actor, key):
    """The fields of a body, as listed under 'The canonical form' of schemas/README.md."""
    content = subject.get("content") or {}
    if name == "dev.cdevents.repository.created":
        # 'in `customData`: `preexisting`'; 'preexisting (only if true)'
        return {"preexisting": True} if data.get("preexisting") else {}
    if kind == "service_registered":
        return without_absent({"owner": content.get("owner"), "preexisting": True if content.get("preexisting") else None})
    if kind == "capability_registered":
        since = content.get("observedSince")
        return without_absent({
            "mandated": content.get("mandated"),
            "observed_since": format_instant(parse_instant(since)) if since else None,
        })
    if kind == "interaction_started":
        return without_absent({"interaction_id": content.get("interactionId")})
    if kind == "interaction_finished":
        return without_absent({
            "interaction_id": content.get("interactionId"),
            "outcome": OUTCOMES[content["outcome"]],
            "assisted": content.get("assisted"),
            "duration_seconds": content.get("durationSeconds"),
        })
    if kind in ("survey_invited", "survey_answered"):
        # 'respondent (default: the actor)'
        return without_absent({
            "survey": content.get("survey"),
            "respondent": pseudonym(content.get("respondent"), key) or actor,
            "score": content.get("score"),
        })
    if kind == "deployed":
        changes = [
            without_absent({
                "id": change.get("id"),
                "author": pseudonym(change.get("author"), key),
                "committed_at": format_instant(parse_instant(change["committedAt"])) if change.get("committedAt") else None,
            })
            for change in data.get("changes") or []
        ]
        return without_absent({
            "environment": (content.get("environment") or {}).get("id"),
            "artifact_id": content.get("artifactId"),
            "outcome": OUTCOMES[data["outcome"]] if data.get("outcome") else None,
            "kind": KINDS_OF_DEPLOY.get(name),
            "unplanned": True if data.get("unplanned") else None,
            "changes": changes or None,
        })
    if kind == "service_removed":
        return without_absent({"environment": (content.get("environment") or {}).get("id")})
    if kind == "pipeline_run_finished":
        return without_absent({
            "pipeline": content.get("pipelineName"),
            "outcome": OUTCOMES[content["outcome"]] if content.get("outcome") else None,
            "duration_seconds": data.get("durationSeconds"),
        })
    if kind in ("incident_detected", "incident_reported", "incident_resolved"):
        return without_absent({
            "incident_id": subject.get("id"),
            "environment": (content.get("environment") or {}).get("id"),
            "artifact_id": content.get("artifactId"),
            "links": linked(context) or None,
            "severity": data.get("severity"),
        })
    if kind == "environment_provisioned":
        return without_absent({
            "environment_id": subject.get("id"),
            "outcome": OUTCOMES[content["outcome"]],
            "duration_seconds": content.get("durationSeconds"),
        })
    if kind == "probe_finished":
        return without_absent({"probe": content.get("probe"), "outcome": OUTCOMES[content["outcome"]]})
    if kind == "requests_observed":
        return without_absent({"indicator": content.get("indicator"), "good": content["good"], "total": content["total"]})
    if kind in ("change_created", "change_merged"):
        return without_absent({"change_id": subject.get("id"), "repository": (content.get("repository") or {}).get("id")})
    return {}


def parse_event(record, key):
    if "context" not in record and "data" in record:
        record = record["data"]             # 'bare or inside a CloudEvent'
    context, subject = record["context"], record["subject"]
    data = record.get("customData") or {}
    name = VERSIONED.match(context["type"]).group(1)
    subject_kind, kind = TYPES[name]

    # "customData wins; where it does not name the subject of the event, subject.id does"
    # 'An empty text is as good as none'
    names = {field: data.get(field) or None for field in ("team", "service", "capability")}
    if subject_kind == "incident":
        # 'customData wins', then `service.id` of the content; `subject.id` is the incident
        names["service"] = names["service"] or ((subject.get("content") or {}).get("service") or {}).get("id") or None
    elif subject_kind is not None and names[subject_kind] is None:
        names[subject_kind] = subject.get("id") or None

    actor = pseudonym(data.get("actor"), key)
    body = parse_body(name, kind, context, subject, data, actor, key)
    event = Event(
        source=context["source"], id=context["id"], revision=data.get("revision", 0),
        at=parse_instant(context["timestamp"]), actor=actor, kind=kind, body=body, **names,
    )
    event.content_hash = hashlib.sha256(canonical(event).encode()).hexdigest()
    return event


def canonical(event):
    """'The content of an event is the JSON object below in RFC 8785 form, absent and default values left out'"""
    content = without_absent({
        "actor": event.actor,
        "body": {"type": event.kind, **event.body},
        "capability": event.capability,
        "occurred_at": format_instant(event.at),
        "service": event.service,
        "team": event.team,
    })
    return json.dumps(rfc8785_numbers(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def rfc8785_numbers(value):
    """A whole number is written without a fraction. (All member names are ASCII, so sorting them is trivial.)"""
    if isinstance(value, dict):
        return {name: rfc8785_numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [rfc8785_numbers(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def winning(events):
    """'An event is identified by (source, id), over all time. Its version is (revision, default 0; then the SHA-256,
    as lower-case hex, of the body in RFC 8785 form, compared as text): the largest version wins as a whole ... A version
    whose body is retracted takes the event out.' In the order of events at last."""
    best = {}
    for event in events:
        identity = (event.source, event.id)
        held = best.get(identity)
        if held is None or (event.revision, event.content_hash) > (held.revision, held.content_hash):
            best[identity] = event
    return sorted((event for event in best.values() if event.kind != "retracted"), key=Event.order)


def read_events(path, config):
    """The events that count, in order of (occurred_at, source, id)."""
    key = bytes.fromhex(config.get("privacy_key", ""))
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as lines:
        return winning([parse_event(json.loads(line), key) for line in lines if line.strip()])

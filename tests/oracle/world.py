"""What is there at an instant T: METRICS.md sections 1 to 3."""

import collections
import re

from values import day_of, last_day_before, parse_day_or_instant, parse_duration

REGISTERED = {"team": "team_registered", "service": "service_registered", "capability": "capability_registered"}
RETIRED = {"team": "team_retired", "service": "service_retired", "capability": "capability_retired"}



def matches(glob, name):
    """Globs with * only."""
    return re.fullmatch(".*".join(re.escape(part) for part in glob.split("*")), name, re.DOTALL) is not None


class World:
    """'A metric is evaluated as of an instant T and sees the events with occurred_at < T, whenever they arrived.'"""

    def __init__(self, events, config, instant):
        self.instant = instant
        self.last_day = last_day_before(instant)
        self.config = config
        self.min_group = config.get("min_group", 5)
        self.production = config.get("production", ["production", "prod"])
        self.seen = [event for event in events if event.at < instant]      # stays in order
        self.registrations_of = collections.defaultdict(list)     # service -> its registrations that name a team
        for event in self.seen:
            if event.kind == "service_registered" and event.service and self.named_owner(event):
                self.registrations_of[event.service].append(event)
        self.appeared = {kind: self.find_appeared(kind) for kind in ("team", "service", "capability")}
        self.existing = {kind: self.find_existing(kind) for kind in ("team", "service", "capability")}
        self.uses_by = {}       # filled on demand
        self.interaction_events = collections.defaultdict(list)
        for event in self.seen:
            if event.kind in ("interaction_started", "interaction_finished"):
                # 'interaction_id within its source, default the event's own id'
                self.interaction_events[event.source, event.body.get("interaction_id", event.id)].append(event)

    # -- section 2: owners ------------------------------------------------------------------------------------------

    @staticmethod
    def named_owner(registration):
        """'owner (a team; default: the event's team)'"""
        return registration.body.get("owner") or registration.team

    def owner(self, service, instant):
        """'the service's owner: the team of the service's latest registration at or before occurred_at, or, where all
        are later, of the earliest.'"""
        registrations = self.registrations_of.get(service, [])
        earlier = [event for event in registrations if event.at <= instant]
        if earlier:
            return self.named_owner(earlier[-1])
        if registrations:
            return self.named_owner(registrations[0])
        return None

    def team_of(self, event):
        """'An event with a service and no team belongs to the service's owner ... An explicit team wins for that event.'"""
        if event.team is not None:
            return event.team
        if event.service is not None:
            return self.owner(event.service, event.at)
        return None

    # -- section 3: what exists ---------------------------------------------------------------------------------------

    def find_appeared(self, kind):
        """'A team, service or capability appears with the first event that names it as such (or as owner), registrations
        included; names inside `changes` do not count. A retirement makes nothing appear, neither its subject nor any
        other name in it.'"""
        names = set()
        for event in self.seen:
            if event.kind in RETIRED.values():
                continue
            names.add(getattr(event, kind))
            if kind == "team":
                names.add(event.body.get("owner"))
        names.discard(None)
        return names

    def find_existing(self, kind):
        """'It exists at T if it appeared before T and its latest registration-or-retirement before T, if there is any, is
        not a retirement. At the same instant the registration wins. Nothing but a registration reopens.'"""
        registered, retired = {}, {}
        for event in self.seen:
            if event.kind == REGISTERED[kind]:
                registered[getattr(event, kind)] = event.at
            if event.kind == RETIRED[kind]:
                retired[getattr(event, kind)] = event.at
        return {
            name for name in self.appeared[kind]
            if name not in retired or (name in registered and registered[name] >= retired[name])
        }

    def capability_config(self, capability):
        return self.config.get("capabilities", {}).get(capability, {})

    def eligible(self, unit_kind, name, capability):
        """'Eligible for c: as the config says at the time of asking (default: all).' Ineligible wins."""
        settings = self.capability_config(capability)
        wanted = settings.get(f"eligible_{unit_kind}s")
        unwanted = settings.get(f"ineligible_{unit_kind}s", [])
        if any(matches(glob, name) for glob in unwanted):
            return False
        return wanted is None or any(matches(glob, name) for glob in wanted)

    def unit_in_scope(self, unit_kind, name, scope):
        """Settled: by team a unit is the team itself, or a service whose owner at T is that team."""
        if "team" in scope:
            team = name if unit_kind == "team" else self.owner(name, self.instant)
            if team != scope["team"]:
                return False
        return "service" not in scope or name == scope["service"]

    def event_in_scope(self, event, scope):
        """Whether an event names (or belongs to) everything in the scope."""
        return (
            ("capability" not in scope or event.capability == scope["capability"])
            and ("team" not in scope or self.team_of(event) == scope["team"])
            and ("service" not in scope or event.service == scope["service"])
        )

    def is_use(self, event):
        """'is a usage event, a finished interaction with outcome success (assisted or not), or a deploy to any environment
        with outcome success. A deploy with no outcome is a success.'"""
        return event.kind == "capability_used" or (
            event.kind in ("interaction_finished", "deployed") and event.succeeded()
        )

    def uses(self, unit_kind):
        """'Unit u uses c on day d if an event of d names (or belongs to) both'. 'An event without a service counts for no
        service.' (unit, capability) -> its uses."""
        if unit_kind not in self.uses_by:
            found = collections.defaultdict(list)
            for event in self.seen:
                unit = self.team_of(event) if unit_kind == "team" else event.service
                if self.is_use(event) and unit is not None and event.capability is not None:
                    found[unit, event.capability].append(day_of(event.at))
            self.uses_by[unit_kind] = found
        return self.uses_by[unit_kind]

    def production_deploys(self, service):
        """'Production = the environment ids named so in config'; the successful ones, in order."""
        return [
            event for event in self.seen
            if event.kind == "deployed" and event.service == service and event.succeeded()
            and event.body.get("environment") in self.production
        ]

    def on_golden_path(self, deploy):
        """'the deploy's capability is configured as a golden path; without a capability it is off.'"""
        return deploy.capability is not None and bool(self.capability_config(deploy.capability).get("golden_path"))

    # -- section 5, last paragraph ------------------------------------------------------------------------------------

    def registration_of_capability(self, capability):
        """The latest registration before T, if any. (Of the same instant, the last in order.)"""
        found = [e for e in self.seen if e.kind == "capability_registered" and e.capability == capability]
        return found[-1].body if found else {}

    def mandated(self, capability):
        """'A capability may be marked `mandated`'. Settled: the config's word wins over the registration's."""
        return bool(self.capability_config(capability).get(
            "mandated", self.registration_of_capability(capability).get("mandated", False)))

    def observed_since(self, capability):
        """'A capability may have `observed_since`'. Settled: its UTC day; the config's word wins. None if there is none."""
        text = self.capability_config(capability).get("observed_since") or self.registration_of_capability(capability).get("observed_since")
        return parse_day_or_instant(text) if text else None

    def timeout(self, question, start):
        """Settled: the question's time-out, else that of the start event's capability, else 24 h. In seconds."""
        text = question.get("timeout") or self.capability_config(start.capability).get("timeout") or "24h"
        return parse_duration(text)

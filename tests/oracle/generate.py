"""Small, dense, deterministic histories in which everything collides.

    python3 generate.py --seed N [--events 300] --out DIR

writes events.ndjson, config.json and questions.ndjson: few teams, services, capabilities and persons, clustered around
a turn of the year or a leap day, so that every rule of METRICS.md sections 1 to 7 is reached often."""

import argparse
import copy
import json
import pathlib
import random

from questions import make_questions
from values import DAY, SECOND, format_day, format_instant, parse_day

TEAMS = ["alpha", "apex", "beta", "gamma", "über"]
SERVICES = ["shop", "shop-api", "cart", "pay", "ledger", "web"]
CAPABILITIES = ["release-pipeline", "portal", "vault", "ci-cache"]
PERSONS = [f"dev-{n}" for n in range(1, 10)] + ["merge-robot"]
SOURCES = ["/ci/a", "/ci/b"]
CENTRES = ["2019-12-31", "2020-02-29", "2020-12-31", "2020-06-15", "2020-03-28"]
FIRST, LAST = parse_day("2019-01-01"), parse_day("2021-12-30")
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
GAPS = [0, 1, SECOND, HOUR, 2 * HOUR - 1, 2 * HOUR, 5 * HOUR, DAY - 1, DAY, DAY + 999_999, DAY + SECOND, 2 * DAY, 6 * DAY, 20 * DAY]
MILEPOST = "dev.cdeventsx.milepost-"


def draw(random_source, weighted):
    """One of {choice: weight}."""
    return random_source.choices(list(weighted), list(weighted.values()))[0]


class Generator:
    def __init__(self, seed, size):
        self.random = random.Random(seed)
        self.size = size
        self.centre = parse_day(self.random.choice(CENTRES))
        self.records = []               # (microseconds, record)
        self.next_id = {source: 0 for source in SOURCES}
        self.config = self.make_config()

    def chance(self, p):
        return self.random.random() < p

    # -- instants -------------------------------------------------------------------------------------------------------

    def when(self):
        near = self.random.random()
        if near < 0.12 and self.records:
            return self.random.choice(self.records)[0]              # exactly another event's instant
        if near < 0.68:
            day = self.centre + self.random.randint(-12, 12)
        elif near < 0.93:
            day = self.centre + self.random.randint(-200, 60)
        else:
            day = self.random.randint(FIRST, LAST)
        return max(day, FIRST) * DAY + self.time_of_day()

    def time_of_day(self):
        kind = self.random.random()
        if kind < 0.15:
            return 0
        if kind < 0.2:
            return DAY - 1
        if kind < 0.7:
            return self.random.randrange(86_400) * SECOND
        return self.random.randrange(DAY)

    def later(self, instant):
        return min(instant + self.random.choice(GAPS), LAST * DAY)

    def same_day(self, instant):
        return instant // DAY * DAY + self.time_of_day()

    def written(self, instant):
        """The same instant in one of many spellings; digits after the microseconds are cut."""
        offset = draw(self.random, {0: 6, 120: 2, -330: 1, 840: 1, -60: 1})
        text = format_instant(instant + offset * MINUTE)[:-1]
        if text.endswith(".000000") and self.chance(0.8):
            text = text[: -len(".000000")]
        elif self.chance(0.2):
            text += str(self.random.randrange(1000))
        if offset == 0:
            return text + self.random.choice(["Z", "Z", "+00:00"])
        sign = "+" if offset > 0 else "-"
        return f"{text}{sign}{abs(offset) // 60:02}:{abs(offset) % 60:02}"

    # -- events ---------------------------------------------------------------------------------------------------------

    def emit(self, kind, instant, subject, content=None, version="0.1.0", source=None, **data):
        source = source or draw(self.random, {SOURCES[0]: 3, SOURCES[1]: 2})
        self.next_id[source] += 1       # counted by source, so that ids are shared over sources
        record = {
            "context": {
                "specversion": "0.5.0", "id": f"e{self.next_id[source]}", "source": source,
                "type": f"{kind}.{version}", "timestamp": self.written(instant),
            },
            "subject": {"id": subject, "source": source, "content": content or {}},
            "customData": {name: value for name, value in data.items() if value is not None},
            "customDataContentType": "application/json",
        }
        if "team" not in record["customData"] and self.chance(0.05):
            record["customData"]["team"] = ""       # 'An empty text is as good as none'
        self.records.append((instant, record))
        return record

    def milepost(self, kind, instant, subject, content=None, **more):
        return self.emit(MILEPOST + kind, instant, subject, content, **more)

    def maybe_team(self, p=0.5):
        return self.random.choice(TEAMS) if self.chance(p) else None

    def maybe_service(self, p=0.8):
        return self.random.choice(SERVICES) if self.chance(p) else None

    def person(self):
        return self.random.choice(PERSONS)

    def register(self, service, instant):
        owner, team = (self.maybe_team(0.6), self.maybe_team(0.5))
        preexisting = self.chance(0.12)
        if self.chance(0.2):
            repository = {"name": service, "url": f"urn:repository:{service}"}
            data = {"preexisting": True} if preexisting else {}
            return self.emit("dev.cdevents.repository.created", instant, service, repository, version="0.2.0",
                             team=team, actor=self.person(), **data)
        content = {"owner": owner} if owner else {}
        if preexisting:
            content["preexisting"] = True
        return self.milepost("service.registered", instant, service, content, team=team, actor=self.person())

    def retire(self, service, instant):
        # A retirement names things too, and makes none of them appear.
        self.milepost("service.retired", instant, service, team=self.maybe_team(0.3), actor=self.person(),
                      capability="never-appears" if self.chance(0.2) else None)

    def deploy(self, service, instant, environment=None, outcome="?", **more):
        predicate = draw(self.random, {"deployed": 8, "upgraded": 1, "rolledback": 1})
        environment = environment or draw(self.random, {"production": 6, "prod": 3, "live": 1, "staging": 3})
        if outcome == "?":
            outcome = draw(self.random, {"success": 6, None: 2, "failure": 2, "cancelled": 0.5})
        if "capability" not in more:
            more["capability"] = draw(self.random, {"release-pipeline": 6, None: 2, "portal": 1, "ci-cache": 1})
        more.setdefault("actor", self.person())
        if "changes" not in more:
            more["changes"] = draw(self.random, {"some": 6, None: 2, "empty": 1})
            if more["changes"] == "some":
                more["changes"] = self.changes(instant, [self.person() for _ in range(self.random.randint(1, 3))])
            elif more["changes"] == "empty":
                more["changes"] = []
        more.setdefault("team", self.maybe_team(0.35))
        named = service if self.chance(0.7) else None       # else the subject says it
        return self.emit(f"dev.cdevents.service.{predicate}", instant, service,
                         {"environment": {"id": environment}, "artifactId": f"pkg:oci/{service}@{self.random.randint(1, 9)}"},
                         version="0.2.0", outcome=outcome, service=named, **more)

    def changes(self, instant, authors):
        return [{"id": f"c{self.random.randrange(100)}", "author": author, "committedAt": self.written(instant - HOUR)}
                for author in authors]

    def use(self, capability, instant, team, service):
        kind = draw(self.random, {"used": 5, "finished": 2, "deploy": 2})
        if kind == "deploy" and service:
            return self.deploy(service, instant, capability=capability, team=team,
                               outcome=draw(self.random, {"success": 3, None: 2, "failure": 1}))
        if kind == "finished":
            content = {"outcome": draw(self.random, {"success": 5, "failure": 1}), "interactionId": f"own-{len(self.records)}"}
            if self.chance(0.6):
                content["assisted"] = self.chance(0.5)
            return self.milepost("interaction.finished", instant, capability, content, team=team, service=service, actor=self.person())
        return self.milepost("capability.used", instant, capability, team=team, service=service, actor=self.person())

    # -- scenarios ------------------------------------------------------------------------------------------------------

    def life_of_a_service(self):
        service, instant = self.random.choice(SERVICES), self.when()
        if self.chance(0.3):
            self.use(self.random.choice(CAPABILITIES), instant - self.random.choice(GAPS), None, service)
        if self.chance(0.15):
            self.deploy(service, instant - self.random.choice(GAPS), "production", "success")
        self.register(service, instant)
        if self.chance(0.35):
            ended = self.later(instant)
            self.retire(service, ended)
            if self.chance(0.35):
                self.register(service, ended)           # at the same instant: the registration wins
            elif self.chance(0.5):
                self.register(service, self.later(ended))
            self.deploy(service, self.later(ended))
        self.deploy(service, self.later(instant))

    def new_service(self):
        """A service of its own name, so that its earliest registration lies where the questions look."""
        service, instant = f"svc-{self.random.randrange(12)}", self.when()
        if self.chance(0.08):
            self.deploy(service, instant - self.random.choice(GAPS[1:]), "production", "success")
        self.register(service, instant)
        if self.chance(0.15):
            self.retire(service, self.later(instant))
        if self.chance(0.8):
            self.deploy(service, self.later(instant), draw(self.random, {"production": 6, "staging": 1}),
                        draw(self.random, {"success": 5, None: 2, "failure": 1}),
                        capability=draw(self.random, {"release-pipeline": 4, None: 1, "portal": 1}))
        if self.chance(0.3):
            self.deploy(service, self.later(self.later(instant)))

    def change_of_owner(self):
        service, instant = self.random.choice(SERVICES), self.when()
        capability = self.random.choice(CAPABILITIES)
        self.register(service, instant)
        self.register(service, self.same_day(instant))
        for at in (instant, self.same_day(instant), self.same_day(instant), self.later(instant)):
            if self.chance(0.7):
                self.use(capability, at, None, service)

    def onboarding(self):
        developer, instant = self.person(), self.when()
        service = self.random.choice(SERVICES + [f"svc-{n}" for n in range(4)])
        if self.chance(0.15):
            gone = instant - self.random.choice(GAPS[:4])
            self.retire(service, gone)
            if self.chance(0.4):
                self.register(service, draw(self.random, {gone: 1, instant: 1}))
        self.milepost("onboarding.started", instant, service, actor=developer, team=self.maybe_team(0.4))
        if self.chance(0.2):
            self.milepost("onboarding.started", self.later(instant), service, actor=developer)
        if self.chance(0.15):
            self.retire(service, self.later(instant))
        if self.chance(0.8):
            at, other = self.later(instant), self.person()
            changes, actor = self.random.choice([
                (self.changes(at, [other, developer]), other),
                (self.changes(at, [developer]), "merge-robot"),
                (None, developer),
                ([], developer),
                (self.changes(at, [other]), developer),         # the actor does not count where there are changes
                ([{"id": "c1", "committedAt": self.written(at)}], developer),
            ])
            self.deploy(service, at, draw(self.random, {"production": 8, "staging": 1}),
                        draw(self.random, {"success": 6, None: 2, "failure": 1}), changes=changes, actor=actor)

    def interaction(self):
        instant, capability = self.when(), self.random.choice(CAPABILITIES)
        names = {"team": self.maybe_team(0.4), "service": self.maybe_service(0.8)}
        interaction = f"i-{self.random.randrange(60)}" if self.chance(0.8) else None
        source = self.random.choice(SOURCES)

        def start(at, **more):
            return self.milepost("interaction.started", at, capability, {"interactionId": interaction} if interaction else {},
                                 actor=self.person(), **{"source": source, **names, **more})

        def finish(at, named, **more):
            content = {"outcome": draw(self.random, {"success": 6, "failure": 1, "cancelled": 1})}
            if named:
                content["interactionId"] = named
            assisted = draw(self.random, {False: 5, True: 2, None: 2})
            if assisted is not None:
                content["assisted"] = assisted
            if self.chance(0.3):
                content["durationSeconds"] = self.random.randrange(9000)
            self.milepost("interaction.finished", at, self.random.choice([capability, capability, "portal"]), content,
                          actor=self.person(), **{"source": source, **names, **more})

        shape = draw(self.random, {"whole": 4, "start": 4, "finish": 4, "twice": 1, "starts": 1, "late": 2, "sources": 1})
        named = interaction
        if shape in ("whole", "start", "twice", "starts", "late"):
            started = start(instant)
            named = interaction or started["context"]["id"]     # 'default: the event's own id'
        if shape == "starts":
            start(self.later(instant), team=self.maybe_team())
        if shape == "late":
            finish(instant + DAY + self.random.choice([0, 1, HOUR, 3 * DAY]), named)
        if shape in ("whole", "twice"):
            finish(instant + self.random.choice([0, SECOND, HOUR, 5 * HOUR, DAY - 1, DAY]), named)
        if shape == "twice":
            finish(self.later(instant), named, team=self.maybe_team(), service=self.maybe_service())
        if shape in ("finish", "sources"):
            finish(instant, interaction)
        if shape == "sources":
            finish(self.later(instant), interaction, source=SOURCES[1 - SOURCES.index(source)])

    def change(self, kind, instant, name):
        return self.emit(f"dev.cdevents.change.{kind}", instant, name, {"repository": {"id": "r"}}, version="0.2.0")

    def incident(self, stage, instant, name, source, content, links=(), **data):
        record = self.emit(f"dev.cdevents.incident.{stage}", instant, name, content, version="0.2.0", source=source,
                           severity=draw(self.random, {None: 2, "P1": 1}), **data)
        if links:
            ends = [{"linkType": "RELATION", "linkKind": "CAUSE", "target": {"contextId": link}} if self.chance(0.6)
                    else {"linkType": "PATH", "from": {"contextId": link}} for link in links]
            record["context"]["links"] = ends
        return record

    def delivery(self):
        """Deploys of one service with what is known of their changes, and what came of them."""
        service, instant = self.random.choice(SERVICES[:3]), self.when()
        environment = draw(self.random, {"production": 6, "prod": 2, "live": 1, "staging": 1})
        name = f"c{self.random.randrange(100)}"
        changes = [{"id": name, "committedAt": self.written(instant - self.random.choice(GAPS))}]
        if self.chance(0.5):
            changes.append({"committedAt": self.written(instant + self.random.choice([-HOUR, HOUR]))})
        for kind in ("created", "merged"):
            if self.chance(0.7):
                self.change(kind, instant - self.random.choice(GAPS[:9]), name)
        deployed = self.deploy(service, instant, environment, draw(self.random, {"success": 6, None: 2, "failure": 1}),
                               changes=changes, unplanned=True if self.chance(0.3) else None)
        if self.chance(0.3):        # the same changes once more
            self.deploy(service, self.later(instant), environment, changes=changes)
        if self.chance(0.3):
            again = self.deploy(service, self.later(instant), environment, "success", changes=[])
            again["context"]["type"] = "dev.cdevents.service.rolledback.0.2.0"
        if self.chance(0.8):
            self.trouble(service, self.later(instant), environment, deployed)

    def trouble(self, service, instant, environment, deployed):
        source, name = self.random.choice(SOURCES), f"incident-{self.random.randrange(12)}" if self.chance(0.7) else None
        about = {"environment": {"id": environment if self.chance(0.8) else "production"}} if self.chance(0.7) else {}
        if self.chance(0.8):
            about["service"] = {"id": service}
        if self.chance(0.3):
            about["artifactId"] = deployed["subject"]["content"]["artifactId"]
        links = [deployed["context"]["id"]] if self.chance(0.3) else ["e1", "nothing"] if self.chance(0.1) else []
        first = self.incident(draw(self.random, {"detected": 4, "reported": 1}), instant, name, source, about, links,
                              team=self.maybe_team(0.3))
        if name is None:
            return                  # its id is its own event's, which nothing else names
        if self.chance(0.3):
            self.incident("reported", self.later(instant), name, source, {"service": {"id": self.random.choice(SERVICES)}}
                          if self.chance(0.3) else {}, team=self.maybe_team(0.2))
        if self.chance(0.7):
            resolved = self.later(instant)
            self.incident("resolved", resolved, name, source, about, [first["context"]["id"]] if self.chance(0.3) else [])
            if self.chance(0.25):   # once more
                self.incident("detected", self.later(resolved), name, source, {})
                if self.chance(0.5):
                    self.incident("resolved", self.later(self.later(resolved)), name, source, {})
        if self.chance(0.08):
            self.incident("resolved", instant, f"unheard-of-{self.random.randrange(9)}", source, about)

    def samples(self):
        """What service levels are made of, in bursts."""
        source = self.random.choice(["pipeline", "environment", "probe", "requests"])
        instant = self.when()
        for _ in range(self.random.randint(1, 6)):
            instant = self.later(instant) if self.chance(0.2) else min(instant + self.random.choice([0, 299, 300, 3599, 3600]) * SECOND, LAST * DAY)
            names = {"team": self.maybe_team(0.4), "service": self.maybe_service(0.7)}
            outcome = draw(self.random, {"success": 5, "failure": 2, "cancelled": 0.5})
            seconds = self.random.choice([0, 599, 600, 601, 9_000])
            timed = {"durationSeconds": seconds} if self.chance(0.8) else {}
            if source == "pipeline":
                content = {"pipelineName": self.random.choice(["build", "release", "nightly"])}
                if self.chance(0.85):
                    content["outcome"] = {"cancelled": "cancel"}.get(outcome, outcome)
                self.emit("dev.cdevents.pipelinerun.finished", instant, "run", content, version="0.2.0", **names, **timed)
            elif source == "environment":
                self.milepost("environment.provisioned", instant, "preview", {"outcome": outcome, **timed},
                              capability=self.random.choice(CAPABILITIES), **names)
            elif source == "probe":
                content = {"outcome": outcome, **({"probe": "login"} if self.chance(0.5) else {})}
                self.milepost("probe.finished", instant, self.random.choice(["portal", "vault"]), content)
            else:
                total = self.random.choice([0, 1, 10, 1000])
                content = {"good": self.random.randint(total * 9 // 10, total), "total": total,
                           **({"indicator": self.random.choice(["latency", "errors"])} if self.chance(0.8) else {})}
                self.milepost("requests.observed", instant, self.random.choice(SERVICES), content, team=names["team"])

    def keeping(self):
        capability, instant = self.random.choice(CAPABILITIES), self.when()
        if self.chance(0.4):    # within the grace after observed_since
            instant = (self.since + self.random.randint(-3, 9)) * DAY + self.time_of_day()
            capability = "vault"
        team, service = self.maybe_team(0.6), self.maybe_service(0.8)
        if team is None and service is None:
            team = TEAMS[0]
        for days in [0] + self.random.sample([0, 1, 2, 3, 5, 6, 7, 8, 13, 14, 15, 20, 28, 30, 60], self.random.randint(1, 5)):
            self.use(capability, min((instant // DAY + days) * DAY + self.time_of_day(), LAST * DAY), team, service)

    def survey(self):
        instant, survey = self.when(), f"survey-{self.random.randint(1, 2)}"
        names = {"team": self.maybe_team(0.6), "service": self.maybe_service(0.5), "capability": draw(self.random, {None: 1, "portal": 2, "vault": 1})}
        persons = self.random.sample(PERSONS[:-1], self.random.randint(2, 8))
        for person in persons:
            respondent = {"respondent": person} if self.chance(0.8) else {}
            names["actor"] = self.person() if respondent else person        # 'respondent (default: the actor)'
            if self.chance(0.35):
                self.milepost("survey.invited", instant, survey, {"survey": survey, **respondent}, **names)
            for at in [self.later(instant)] * draw(self.random, {0: 1, 1: 5, 2: 2}):
                content = {"survey": survey, "score": self.random.choice([0, 3, 6, 7, 8, 9, 9, 10, 10]), **respondent}
                self.milepost("survey.answered", at if self.chance(0.6) else instant, survey, content, **names)

    def oddments(self):
        instant, service = self.when(), self.random.choice(SERVICES + ["svc-odd"])
        kind = self.random.randrange(5)
        if kind == 0:
            self.emit("dev.cdevents.service.removed", instant, service, {"environment": {"id": "production"}}, version="0.2.0",
                      team=self.maybe_team(), actor=self.person())
        elif kind == 1:
            self.emit("dev.cdevents.pipelinerun.finished", instant, "run-1",
                      {"pipelineName": "build", "outcome": self.random.choice(["success", "failure", "cancel", "error"])},
                      version="0.2.0", service=service, capability=self.random.choice(["ci-cache", "late-cap"]), team=self.maybe_team())
        elif kind == 2:
            self.emit("dev.cdevents.change.merged", instant, f"change-{self.random.randrange(20)}",
                      {"repository": {"id": service}}, version="0.2.0", service=service, team=self.maybe_team(), actor=self.person())
        elif kind == 3:
            team = self.random.choice(TEAMS + ["quiet"])
            self.milepost("team.retired", instant, team)
            if self.chance(0.5):
                self.milepost("team.registered", draw(self.random, {instant: 2, self.later(instant): 1}), team)
        else:
            capability = self.random.choice(CAPABILITIES)
            content = {"mandated": self.chance(0.6)} if self.chance(0.6) else {}
            if self.chance(0.6):
                content["observedSince"] = self.written(self.when())
            self.milepost("capability.registered", instant, capability, content)
            if self.chance(0.3):
                self.milepost("capability.retired", self.later(instant), capability)

    # -- corrections ----------------------------------------------------------------------------------------------------

    def another_body(self, record):
        """Another version of an event: moved to another team, service, day, or said differently."""
        other = copy.deepcopy(record)
        data, content = other["customData"], other["subject"]["content"]
        what = self.random.choice(["team", "service", "instant", "actor", "type"])
        instant = None
        if what == "team":
            data["team"] = self.random.choice(TEAMS + ["moved"])
        elif what == "service":
            data["service"] = self.random.choice(SERVICES)
        elif what == "actor":
            data["actor"] = self.person()
            if "outcome" in data and self.chance(0.5):
                data["outcome"] = "failure"
            if "score" in content:
                content["score"] = 10 - content["score"]
        elif what == "type":
            other["context"]["type"] = MILEPOST + "capability.used.0.1.0"
            other["subject"] = {"id": "portal", "source": other["context"]["source"], "content": {}}
            for name in ("outcome", "changes", "preexisting", "unplanned", "severity", "durationSeconds"):
                data.pop(name, None)
        else:
            instant = self.when()
            other["context"]["timestamp"] = self.written(instant)
        return instant, other

    def correct(self):
        instant, record = self.random.choice(self.records)
        if record["context"]["type"].startswith(MILEPOST + "event.retracted"):
            return
        revision = record["customData"].get("revision", 0)
        what = draw(self.random, {"duplicate": 2, "revision": 4, "conflict": 3, "retraction": 2, "restored": 0.5})
        if what == "duplicate":
            self.records.append((instant, copy.deepcopy(record)))
        elif what == "revision":
            moved, other = self.another_body(record)
            other["customData"]["revision"] = revision + self.random.randint(1, 2)
            self.records.append((moved if moved is not None else instant, other))
        elif what == "conflict":
            # Kept to bodies whose canonical form leaves nothing to interpretation.
            if "-survey." in record["context"]["type"] or "-capability.registered" in record["context"]["type"]:
                return
            moved, other = self.another_body(record)
            if other != record:
                self.records.append((moved if moved is not None else instant, other))
        else:
            source, identity = record["context"]["source"], record["context"]["id"]
            retraction = {
                "context": {**record["context"], "type": MILEPOST + "event.retracted.0.1.0", "timestamp": self.written(self.later(instant))},
                "subject": {"id": identity, "source": source, "content": {}},
                "customData": {"revision": revision + 1}, "customDataContentType": "application/json",
            }
            self.records.append((instant, retraction))
            if what == "restored":
                again = copy.deepcopy(record)
                again["customData"]["revision"] = revision + 2
                self.records.append((instant, again))

    # -- everything -----------------------------------------------------------------------------------------------------

    def make_config(self):
        self.since = self.centre + self.random.randint(-40, 0)
        key = "".join(self.random.choice("0123456789abcdef") for _ in range(64))
        capabilities = {
            "release-pipeline": {"golden_path": True, "timeout": self.random.choice(["24h", "1h", "3d"])},
            "portal": {"eligible_teams": self.random.choice([["a*"], ["*a"], ["*"], ["beta", "g*ma", "ü*"]]),
                       "golden_path": self.chance(0.2)},
            "vault": {"observed_since": format_day(self.since), "ineligible_teams": self.random.choice([["apex"], ["*p*"], []])},
            "ci-cache": {"eligible_services": self.random.choice([["s*"], ["*a*", "pay"], ["*"]]),
                         "ineligible_services": self.random.choice([["cart"], ["*-*"], []])},
        }
        for name in CAPABILITIES:
            if self.chance(0.25):
                capabilities[name]["mandated"] = self.chance(0.7)
        if self.chance(0.3):
            del capabilities["vault"]["observed_since"]         # then registrations may say it
        def slo(sli, **more):
            return {"sli": sli, "objective": self.random.choice(["0.5", "0.9", "0.75", "0.999"]),
                    **({"window": self.random.choice(["1h", "1d", "7d", "28d", "400d"])} if self.chance(0.7) else {}), **more}

        slos = {
            "ci": slo("pipeline_runs", **self.random.choice([{}, {"threshold": "10m"}, {"name": "*l*"}, {"service": "sh*"}])),
            "deploys": slo("deploys", **self.random.choice([{}, {"environment": "prod*"}, {"team": "*p*"}, {"capability": "release-pipeline"}])),
            "environments": slo("environments", threshold="10m", **self.random.choice([{}, {"capability": "*"}, {"team": "alpha"}])),
            "interactions": slo("interactions", **self.random.choice([{}, {"capability": "p*"}])),
            "portal": slo("probes", capability="portal", **self.random.choice([{}, {"name": "login"}])),
            "requests": slo("requests", **self.random.choice([{}, {"name": "latency"}, {"team": "*"}])),
        }
        return {
            "slo": slos,
            "capabilities": capabilities,
            "production": self.random.choice([["production", "prod"], ["production", "prod", "live"]]),
            "incident_gap": self.random.choice(["24h", "1h", "3d", "0s"]),
            "min_group": draw(self.random, {5: 4, 3: 3, 2: 4}),
            "privacy_key": key,
        }

    def run(self):
        for team in self.random.sample(TEAMS, 3):
            self.milepost("team.registered", self.when(), team)
        scenarios = {
            self.life_of_a_service: 3, self.new_service: 4, self.change_of_owner: 1.5, self.onboarding: 5,
            self.interaction: 6, self.keeping: 3, self.survey: 1.5, self.oddments: 2.5, self.delivery: 4, self.samples: 2,
        }
        while len(self.records) < self.size * 0.86:
            draw(self.random, scenarios)()
        while len(self.records) < self.size:
            self.correct()
        questions = make_questions(self.random, sorted({instant for instant, _ in self.records}), self.centre,
                                   TEAMS, SERVICES, CAPABILITIES)
        self.random.shuffle(self.records)
        return [record for _, record in self.records], self.config, questions


def generate(seed, size=300):
    """(events, config, questions) of a seed."""
    return Generator(seed, size).run()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    events, config, questions = generate(options.seed, options.events)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, records in (("events.ndjson", events), ("questions.ndjson", questions)):
        lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        (options.out / name).write_text("".join(lines), encoding="utf-8")
    (options.out / "config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

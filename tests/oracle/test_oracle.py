"""Tests of the oracle: the real data, hand-computed cases of each rule, and what the generator reaches.

    python3 -m unittest discover -s tests/oracle

The real data is read from the path in MILEPOST_DATA, or from crates/server/data/."""

import collections
import hashlib
import hmac
import os
import pathlib
import sys
import unittest
from fractions import Fraction

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import reached as reaching                                                          # noqa: E402
import events as reading                                                    # noqa: E402
import generate                                                             # noqa: E402
import oracle                                                               # noqa: E402
import values                                                               # noqa: E402
from world import World, matches                                            # noqa: E402

DATA = os.environ.get("MILEPOST_DATA") or HERE.parents[1] / "crates/server/data/helm-charts.ndjson.gz"
KEY = "00" * 32


def record(kind, at, subject="x", content=None, source="s", id=None, **data):
    """An event; `kind` without its prefix, `at` like 2020-01-01 (midnight) or 2020-01-01T12:00:00Z."""
    record.count += 1
    prefix = "dev.cdevents." if kind.split(".")[0] in ("repository", "pipelinerun", "change") or kind in (
        "service.deployed", "service.upgraded", "service.rolledback", "service.removed") else "dev.cdeventsx.milepost-"
    return {
        "context": {"specversion": "0.5.0", "id": id or f"e{record.count:04}", "source": source,
                    "type": f"{prefix}{kind}.0.1.0", "timestamp": at if "T" in at else at + "T00:00:00Z"},
        "subject": {"id": subject, "content": content or {}},
        "customData": data,
    }


record.count = 0


def used(at, team=None, service=None, capability="c", **data):
    names = {"team": team, "service": service}
    return record("capability.used", at, capability, **{k: v for k, v in names.items() if v}, **data)


def deployed(at, service="svc", environment="prod", **data):
    return record("service.deployed", at, service, {"environment": {"id": environment}, "artifactId": "a"}, **data)


def registered(at, service="svc", owner=None, **data):
    return record("service.registered", at, service, {"owner": owner} if owner else {}, **data)


def finished(at, outcome="success", interaction=None, assisted=None, capability="c", **data):
    content = {"outcome": outcome}
    if interaction:
        content["interactionId"] = interaction
    if assisted is not None:
        content["assisted"] = assisted
    return record("interaction.finished", at, capability, content, **data)


def started(at, interaction=None, capability="c", **data):
    return record("interaction.started", at, capability, {"interactionId": interaction} if interaction else {}, **data)


def answered(at, person, score, **data):
    return record("survey.answered", at, "survey", {"survey": "q", "respondent": person, "score": score}, **data)


def ask(records, metric, config=None, **question):
    config = {"privacy_key": KEY, "min_group": 0, **(config or {})}
    parsed = reading.winning([reading.parse_event(r, bytes.fromhex(config["privacy_key"])) for r in records])
    return oracle.Oracle(parsed, config).answer({"metric": metric, **question})


def one(*arguments, **question):
    answers = ask(*arguments, **question)
    assert len(answers) == 1, answers
    return answers[0]


def world(records, instant, config=None):
    parsed = reading.winning([reading.parse_event(r, b"") for r in records])
    return World(parsed, config or {}, values.parse_instant(instant))


class RealData(unittest.TestCase):
    """The table of the data's README, all rows and all numbers."""

    ROWS = {
        "2018-12-31": ((19, 200), (9, 14), (319, 320), (2710858, 10149003, 35, 13),
                       (538981, None, 737, 212, 1, 0, 196, 116, 425)),
        "2019-06-30": ((26, 220), (22, 27), (474, 474), (3543306, None, 17, 8),
                       (168156, 5325891, 1271, 165, 0, 1, 383, 254, 634)),
        "2020-10-31": ((12, 222), (35, 47), (0, 71), (None, None, 0, 0),
                       (152303, 7676520, 328, 41, 5, 27, 90, 67, 171)),
    }

    @classmethod
    def setUpClass(cls):
        config = {"capabilities": {"release-pipeline": {"golden_path": True}}, "privacy_key": KEY}
        cls.oracle = oracle.Oracle(reading.read_events(DATA, config), config)

    def ask(self, day, metric, **question):
        answers = self.oracle.answer({"metric": metric, "as_of": day, **question})
        self.assertEqual(len(answers), 1)
        return answers[0]

    def test_table(self):
        self.assertEqual(len(self.oracle.events), 37_255)
        for day, (share, keep, service, first, onboarding) in self.ROWS.items():
            with self.subTest(day=day):
                got = self.ask(day, "market_share", capability="chart-testing")
                self.assertEqual((got["numerator"], got["denominator"]), share)
                got = self.ask(day, "keep_rate", capability="chart-testing")
                self.assertEqual((got["numerator"], got["denominator"]), keep)
                got = self.ask(day, "self_service_rate", capability="change-merge")
                self.assertEqual((got["numerator"], got["denominator"]), service)
                got = self.ask(day, "time_to_first_deploy")
                self.assertEqual((*got["quantiles"].values(), got["counts"]["deployed"], got["counts"]["waiting"]), first)
                self.assertEqual(sum(got["counts"].values()), first[2] + first[3])
                got = self.ask(day, "onboarding_time")
                names = ("shipped", "waiting", "retired", "excluded_retired", "elite", "middle", "struggling")
                self.assertEqual((*got["quantiles"].values(), *(got["counts"][n] for n in names)), onboarding)
                self.assertIsNone(self.ask(day, "nps")["value"])


class Time(unittest.TestCase):
    def test_instants(self):
        at = values.parse_instant("2020-03-01T01:30:00.1234569+02:00")
        self.assertEqual(values.format_instant(at), "2020-02-29T23:30:00.123456Z")
        self.assertEqual(values.parse_instant("1970-01-02T00:00:00-00:30"), 86_400_000_000 + 1800_000_000)
        with self.assertRaises(ValueError):
            values.parse_instant("2020-03-01T01:30:00")

    def test_days(self):
        midnight = values.parse_instant("2020-03-01T00:00:00Z")
        self.assertEqual(values.format_day(values.day_of(midnight)), "2020-03-01")
        self.assertEqual(values.format_day(values.last_day_before(midnight)), "2020-02-29")
        self.assertEqual(values.format_day(values.last_day_before(midnight + 1)), "2020-03-01")
        day = values.parse_day("2020-02-29")
        self.assertTrue(values.is_complete(day, midnight))
        self.assertFalse(values.is_complete(day, midnight - 1))
        self.assertTrue(values.in_trailing(day - 1, 2, midnight))
        self.assertFalse(values.in_trailing(day - 2, 2, midnight))
        self.assertFalse(values.in_trailing(day - 1, 2, midnight + 1))      # today so far is one of the two

    def test_events_from_T_on_are_not_seen(self):
        history = [used("2020-01-02T00:00:00Z", "t")]
        self.assertEqual(ask(history, "market_share", as_of="2020-01-01"), [])
        self.assertEqual(ask(history, "market_share", now="2020-01-02T00:00:00Z"), [])
        got = one(history, "market_share", now="2020-01-02T00:00:00.000001Z")
        self.assertEqual((got["numerator"], got["denominator"], got["as_of"]), (1, 1, "2020-01-02T00:00:00.000001Z"))
        self.assertEqual(one(history, "market_share", as_of="2020-01-29")["numerator"], 1)      # 2 ... 29 January: 28 days
        self.assertEqual(one(history, "market_share", as_of="2020-01-30")["numerator"], 0)
        self.assertEqual(one(history, "market_share", now="2020-01-29T12:00:00Z")["numerator"], 1)
        self.assertEqual(one(history, "market_share", now="2020-01-30T00:00:00Z")["numerator"], 1)
        self.assertEqual(one(history, "market_share", now="2020-01-30T00:00:00.000001Z")["numerator"], 0)


class Values(unittest.TestCase):
    def test_wilson(self):
        for (k, n), (low, high) in {(9, 14): (0.3876, 0.8366), (1, 2): (0.0945, 0.9055), (0, 10): (0, 0.2775), (10, 10): (0.7225, 1)}.items():
            value, got_low, got_high = values.wilson(k, n)
            self.assertEqual(value, k / n)
            self.assertAlmostEqual(got_low, low, 4)
            self.assertAlmostEqual(got_high, high, 4)
        self.assertEqual(values.wilson(0, 0), (None, None, None))

    def test_kaplan_meier(self):
        half, most = Fraction(1, 2), Fraction(9, 10)
        # 4 at risk at 1, 3 at 2 (the one censored at 2 included): S = 3/4, then 3/4 * 2/3 = 1/2
        self.assertEqual(values.kaplan_meier([1, 2], [2, 5], half), 2)
        self.assertIsNone(values.kaplan_meier([1, 2], [2, 5], most))
        # S = 4/5, then 4/5 * 3/4 = 3/5: those censored at 2 are still at risk there.
        self.assertIsNone(values.kaplan_meier([1, 2], [2, 2, 5], half))
        self.assertEqual(values.kaplan_meier([0, 0, 7], [], half), 0)
        self.assertEqual(values.kaplan_meier([0, 0, 7], [], most), 7)
        # Censored at 1, before the event at 2: the one left is all there is at risk.
        self.assertEqual(values.kaplan_meier([2], [1, 1, 1], half), 2)
        self.assertIsNone(values.kaplan_meier([], [3], half))

    def test_observed(self):
        self.assertEqual(values.observed([5, 1, 4, 2, 3, 6, 7, 8, 9, 10], Fraction(9, 10)), 9)
        self.assertEqual(values.observed([1, 2], Fraction(1, 2)), 1)
        self.assertEqual(values.observed([1, 2, 3], Fraction(1, 2)), 2)
        self.assertIsNone(values.observed([], Fraction(1, 2)))

    def test_nps_margin(self):
        # 5 answers, 3 promoters, 1 passive, 1 detractor: N = 0.4, variance 0.6*0.36 + 0.2*0.16 + 0.2*1.96 = 0.64
        value, low, high = values.nps_score(3, 1, 1)
        self.assertEqual(value, 40)
        self.assertAlmostEqual(high - value, 196 * (0.64 / 5) ** 0.5, 9)
        self.assertAlmostEqual(value - low, high - value, 9)
        self.assertEqual(values.nps_score(2, 1, 1), (25, None, None))
        self.assertEqual(values.nps_score(0, 0, 0), (None, None, None))


class Versions(unittest.TestCase):
    def test_canonical_form(self):
        changes = [{"id": "1", "author": "ann", "committedAt": "2020-01-01T01:00:00+02:00"}]
        event = reading.parse_event(record(
            "service.rolledback", "2020-01-01T02:00:00.5+02:00", "svc", {"environment": {"id": "prod"}, "artifactId": "é"},
            team="", capability="c", actor="ann", changes=changes, revision=3), bytes.fromhex(KEY))
        ann = "p-" + hmac_of("ann")[:32]
        self.assertEqual(
            reading.canonical(event),
            '{"actor":"%s","body":{"artifact_id":"é","changes":[{"author":"%s","committed_at":"2019-12-31T23:00:00.000000Z","id":"1"}],'
            '"environment":"prod","kind":"rolled_back","type":"deployed"},"capability":"c",'
            '"occurred_at":"2020-01-01T00:00:00.500000Z","service":"svc"}' % (ann, ann))
        self.assertEqual(event.content_hash, hashlib.sha256(reading.canonical(event).encode()).hexdigest())
        self.assertEqual(event.revision, 3)

    def test_largest_version_wins_whatever_the_order(self):
        first = used("2020-01-05", "a", id="x")
        second = used("2020-01-09", "b", id="x", revision=1)
        gone = record("event.retracted", "2020-01-03", "x", id="x", revision=2)
        for history in ([first, second], [second, first], [first, second, first]):
            answers = ask(history, "market_share", by="team", window="1d", as_of="2020-01-09")
            self.assertEqual([(a["labels"]["team"], a["numerator"]) for a in answers], [("b", 1)])
            self.assertEqual(ask(history, "market_share", as_of="2020-01-08"), [])      # the whole event has moved
        for history in ([first, gone, second], [gone, second, first]):
            self.assertEqual(ask(history, "market_share", as_of="2020-01-09"), [])

    def test_same_revision_with_two_bodies(self):
        pair = [used("2020-01-05", team, id="x") for team in ("a", "b")]
        texts = {
            team: '{"body":{"type":"capability_used"},"capability":"c","occurred_at":"2020-01-05T00:00:00.000000Z","team":"%s"}' % team
            for team in ("a", "b")
        }
        winner = max(texts, key=lambda team: hashlib.sha256(texts[team].encode()).hexdigest())
        for history in (pair, pair[::-1]):
            self.assertEqual(world(history, "2020-02-01T00:00:00Z").appeared["team"], {winner})


def hmac_of(name):
    return hmac.new(bytes.fromhex(KEY), name.encode(), "sha256").hexdigest()


class WhatExists(unittest.TestCase):
    def test_owner(self):
        history = [
            used("2020-01-01", service="svc", id="early"), registered("2020-01-02T10:00:00Z", owner="a", team="z"),
            used("2020-01-02T09:00:00Z", service="svc", id="same-day"), registered("2020-01-03"),        # names no team
            used("2020-01-04", service="svc", id="a-still"), registered("2020-01-05", team="b"),
            used("2020-01-05", service="svc", id="same-instant"), used("2020-01-06", "own", "svc", id="explicit"),
        ]
        there = world(history, "2020-02-01T00:00:00Z")
        teams = {event.id: there.team_of(event) for event in there.seen}
        for name, team in {"early": "a", "same-day": "a", "a-still": "a", "same-instant": "b", "explicit": "own"}.items():
            self.assertEqual(teams[name], team, name)
        self.assertEqual(there.appeared["team"], {"a", "z", "b", "own"})
        # Before T there is no registration yet:
        before = world(history, "2020-01-02T10:00:00Z")
        self.assertEqual({before.team_of(event) for event in before.seen}, {None})

    def test_existence(self):
        history = [
            registered("2020-01-01", team="a"), record("service.retired", "2020-01-02", "svc", team="nobody", capability="nothing"),
            used("2020-01-03", "a", "svc"), record("repository.created", "2020-01-05", "svc"),
            record("service.retired", "2020-01-07", "svc"), registered("2020-01-07", id="0"),
            record("service.retired", "2020-01-08", "never"),
        ]
        for instant, exists in {"2020-01-01T00:00:00Z": False, "2020-01-02T00:00:00Z": True, "2020-01-04T00:00:00Z": False,
                                "2020-01-06T00:00:00Z": True, "2020-01-09T00:00:00Z": True}.items():
            self.assertEqual("svc" in world(history, instant).existing["service"], exists, instant)
        there = world(history, "2020-02-01T00:00:00Z")
        self.assertEqual(there.appeared, {"team": {"a"}, "service": {"svc"}, "capability": {"c"}})

    def test_uses(self):
        self.assertEqual([kind for kind, event in {
            "used": used("2020-01-01", "a"), "success": finished("2020-01-01", team="a", assisted=True),
            "failure": finished("2020-01-01", "failure", team="a"), "deploy": deployed("2020-01-01", environment="staging", capability="c", team="a"),
            "failed": deployed("2020-01-01", capability="c", team="a", outcome="failure"), "start": started("2020-01-01", team="a"),
            "pipeline": record("pipelinerun.finished", "2020-01-01", content={"outcome": "success"}, team="a", capability="c"),
        }.items() if one([event], "market_share", as_of="2020-01-01")["numerator"]], ["used", "success", "deploy"])

    def test_globs(self):
        self.assertTrue(matches("a*", "a") and matches("*b*d", "abcd") and matches("*", "") and matches("a.b", "a.b"))
        self.assertFalse(matches("a*", "ba") or matches("a.b", "axb") or matches("[a]", "a"))


class Ratios(unittest.TestCase):
    def test_market_share(self):
        history = [used("2020-01-10", "a", "s1"), registered("2020-01-01", "s1", "a"), registered("2020-01-01", "s2", "b"),
                   record("team.registered", "2020-01-01", "d"), record("team.retired", "2020-01-05", "d"),
                   record("capability.registered", "2020-01-01", "idle", {"mandated": True})]
        shares = ask(history, "market_share", as_of="2020-01-20")
        self.assertEqual([(a["labels"], a["numerator"], a["denominator"], a.get("notes")) for a in shares],
                         [({"capability": "c"}, 1, 2, None), ({"capability": "idle"}, 0, 2, ["mandated"])])
        config = {"capabilities": {"c": {"eligible_teams": ["b", "d"], "mandated": True}, "idle": {"mandated": False, "eligible_teams": ["x"]}}}
        shares = ask(history, "market_share", config, as_of="2020-01-20")
        self.assertEqual([(a["numerator"], a["denominator"], a["value"], a.get("notes")) for a in shares],
                         [(0, 1, 0.0, ["mandated"]), (0, 0, None, None)])
        shares = ask(history, "market_share", by="team", unit="service", capability="c", as_of="2020-01-20")
        self.assertEqual([(a["labels"]["team"], a["numerator"], a["denominator"]) for a in shares], [("a", 1, 1), ("b", 0, 1), ("d", 0, 0)])
        shares = ask(history, "market_share", service="s2", unit="service", as_of="2020-01-20", capability="c")
        self.assertEqual([(a["labels"], a["denominator"]) for a in shares], [({"capability": "c", "service": "s2"}, 1)])

    def keep(self, days, as_of, config=None, **question):
        history = [used(f"2020-01-{day:02}", "a") for day in days]
        got = one(history, "keep_rate", config, as_of=as_of, **{"horizon": "7d", "grace": "3d", **question})
        state = next(name for name, count in got["counts"].items() if count)
        self.assertEqual(sum(got["counts"].values()), 1)
        return (state, got["numerator"]) if state == "cohort" else state

    def test_keep_rate(self):
        # A = 1 January, H = 7, G = 3: kept by a use on 8, 9 or 10; in the cohort once 10 is complete.
        self.assertEqual(self.keep([1, 10], "2020-01-09"), "pending")
        self.assertEqual(self.keep([1, 10], "2020-01-10"), ("cohort", 1))
        self.assertEqual(self.keep([1, 7, 11], "2020-01-20"), ("cohort", 0))
        self.assertEqual(self.keep([1, 8], "2020-01-20", max_age="20d"), ("cohort", 1))      # A > 20 - 20 days = 31 December
        self.assertEqual(self.keep([1, 8], "2020-01-20", max_age="19d"), "too_old")          # A > 1 January: no
        for since, state in {"2019-12-29": ("cohort", 1), "2019-12-30": "left_censored", "2020-01-01": "left_censored", "2020-01-02": ("cohort", 1)}.items():
            self.assertEqual(self.keep([1, 8], "2020-01-20", {"capabilities": {"c": {"observed_since": since}}}), state)
        self.assertEqual(self.keep([1, 8], "2020-01-20", {"capabilities": {"c": {"eligible_teams": ["*"], "ineligible_teams": ["a"]}}}), "not_eligible")

    def test_other_rules(self):
        for rule, days, kept in [("exact_day", [1, 8], 1), ("exact_day", [1, 7, 9], 0), ("window_before", [1, 6], 1), ("window_before", [1, 5, 9], 0),
                                 ("any_repeat", [1, 2], 1), ("any_repeat", [1, 9], 0), ("on_or_after", [1, 20], 1), ("on_or_after", [1, 7], 0)]:
            self.assertEqual(self.keep(days, "2020-01-20", rule=rule), ("cohort", kept), (rule, days))
            self.assertEqual(self.keep([1], "2020-01-07", rule=rule), "pending")
            self.assertEqual(self.keep([1], "2020-01-08", rule=rule), ("cohort", 0))
        # The window never reaches back to the adoption day itself.
        self.assertEqual(self.keep([1], "2020-01-20", rule="window_before", grace="28d"), ("cohort", 0))

    def test_keep_rate_retired_comes_first(self):
        history = [used("2020-01-01", "a"), record("team.retired", "2020-01-02", "a")]
        config = {"capabilities": {"c": {"ineligible_teams": ["a"]}}}
        self.assertEqual(one(history, "keep_rate", config, as_of="2020-03-01")["counts"]["retired"], 1)

    def test_observed_since_of_the_latest_registration(self):
        history = [used("2020-01-10", "a"), record("capability.registered", "2020-01-01", "c", {"observedSince": "2020-01-10T01:00:00+02:00"}),
                   record("capability.registered", "2020-02-01", "c")]
        counts = {day: one(history, "keep_rate", as_of=day, grace="2d")["counts"]["left_censored"] for day in ("2020-01-31", "2020-02-01")}
        self.assertEqual(counts, {"2020-01-31": 1, "2020-02-01": 0})

    def test_retention_curve(self):
        answers = ask([used("2020-01-01", "a"), used("2020-01-08", "a")], "retention_curve", grace="1d", as_of="2020-03-05")
        self.assertEqual({a["labels"]["horizon"]: (a["numerator"], a["denominator"]) for a in answers},
                         {"7d": (1, 1), "14d": (0, 1), "30d": (0, 1), "60d": (0, 1), "90d": (0, 0), "180d": (0, 0), "365d": (0, 0)})

    def counts(self, history, config=None, **question):
        answer = one(history, "self_service_rate", config, **question)
        return {name: count for name, count in answer["counts"].items() if count}

    def test_self_service_rate(self):
        history = [finished("2020-01-01", assisted=False), finished("2020-01-01"), finished("2020-01-01", assisted=True),
                   finished("2020-01-01", "cancelled", assisted=False), finished("2020-01-01", "failure")]
        got = one(history, "self_service_rate", as_of="2020-01-01")
        self.assertEqual((got["numerator"], got["denominator"]), (1, 5))
        self.assertEqual(got["counts"], {"self_served": 1, "assisted": 2, "failed": 2, "abandoned": 0, "pending": 0})

    def test_interactions(self):
        start = started("2020-01-01T12:00:00Z", "i")
        self.assertEqual(self.counts([start], as_of="2020-01-01"), {"pending": 1})
        self.assertEqual(self.counts([start], now="2020-01-02T12:00:00Z"), {"pending": 1})
        self.assertEqual(self.counts([start], now="2020-01-02T12:00:00.000001Z"), {"abandoned": 1})
        self.assertEqual(self.counts([start], as_of="2020-01-02", window="1d"), {"abandoned": 1})        # on the day of the time-out
        self.assertEqual(self.counts([start], as_of="2020-01-03", window="1d"), {})
        self.assertEqual(self.counts([start], {"capabilities": {"c": {"timeout": "48h"}}}, as_of="2020-01-02"), {"pending": 1})
        self.assertEqual(self.counts([start], {"capabilities": {"c": {"timeout": "48h"}}}, as_of="2020-01-02", timeout="1h"), {"abandoned": 1})
        late = finished("2020-01-05", interaction="i", assisted=False)
        self.assertEqual(self.counts([start, late], as_of="2020-01-04"), {"abandoned": 1})
        self.assertEqual(self.counts([start, late], as_of="2020-01-05"), {"self_served": 1})
        self.assertEqual(self.counts([start, late, finished("2020-01-06", "failure", "i")], as_of="2020-01-09"), {"self_served": 1})
        self.assertEqual(self.counts([start, started("2020-01-02T11:00:00Z", "i")], as_of="2020-01-02"), {"abandoned": 1})
        other = finished("2020-01-05", interaction="i", source="other")
        self.assertEqual(self.counts([start, other], as_of="2020-01-05"), {"abandoned": 1, "assisted": 1})
        # The default is the event's own id.
        self.assertEqual(self.counts([started("2020-01-01", id="own"), finished("2020-01-01", interaction="own")], as_of="2020-01-01"), {"assisted": 1})

    def test_interactions_by_team(self):
        history = [started("2020-01-01", "i", team="a"), finished("2020-01-01", interaction="i", service="svc", capability="other"), registered("2020-01-01", owner="b")]
        answers = ask(history, "self_service_rate", by="team", as_of="2020-01-01")
        self.assertEqual([(a["labels"], a["denominator"]) for a in answers], [({"team": "a"}, 0), ({"team": "b"}, 1)])
        answers = ask(history, "self_service_rate", as_of="2020-01-01")
        self.assertEqual([(a["labels"]["capability"], a["denominator"]) for a in answers], [("c", 0), ("other", 1)])


class Durations(unittest.TestCase):
    CONFIG = {"capabilities": {"gp": {"golden_path": True}}}

    def first(self, *history, **question):
        got = one(list(history), "time_to_first_deploy", self.CONFIG, **{"as_of": "2020-01-31", **question})
        return {name: count for name, count in got["counts"].items() if count}, got["quantiles"]["0.5"]

    def test_time_to_first_deploy(self):
        r, good = registered("2020-01-01"), deployed("2020-01-02T00:00:00.9Z", capability="gp")
        self.assertEqual(self.first(r, good), ({"deployed": 1}, 86_400))
        self.assertEqual(self.first(r, good, registered("2019-12-31", preexisting=None)), ({"deployed": 1}, 2 * 86_400))
        self.assertEqual(self.first(r), ({"waiting": 1}, None))
        for ignored in (deployed("2020-01-01", capability="gp", outcome="failure"), deployed("2020-01-01", environment="staging", capability="gp")):
            self.assertEqual(self.first(r, ignored, good), ({"deployed": 1}, 86_400))
        self.assertEqual(self.first(r, deployed("2020-01-01")), ({"off_path": 1}, None))
        self.assertEqual(self.first(r, deployed("2020-01-01", capability="c"), good), ({"off_path": 1}, None))
        self.assertEqual(self.first(r, deployed("2020-01-01", capability="gp")), ({"deployed": 1}, 0))
        self.assertEqual(self.first(r, good, deployed("2019-12-31")), ({"pre_existing": 1}, None))
        before = record("service.registered", "2019-12-01", "svc", {"preexisting": True})
        self.assertEqual(self.first(before, r, good), ({"pre_existing": 1}, None))
        self.assertEqual(self.first(before, r, good, window="31d"), ({}, None))     # the earliest registration counts
        for at, counts in {"2020-01-01": "deployed", "2020-01-01T00:00:00.000001Z": "retired", "2020-01-02T00:00:00.9Z": "deployed"}.items():
            self.assertEqual(self.first(r, good, record("service.retired", at, "svc"))[0], {counts: 1})

    def onboard(self, *history, **question):
        got = one([record("onboarding.started", "2020-01-01", "svc", actor="ann"), *history], "onboarding_time",
                  self.CONFIG, **{"as_of": "2020-01-31", **question})
        return {name for name, count in got["counts"].items() if count}, got["quantiles"]["0.5"]

    def test_onboarding_time(self):
        by_ann = [{"id": "1", "author": "bob"}, {"id": "2", "author": "ann"}]
        for at, state, seconds in [("01T00:00:00", "elite", 0), ("01T01:59:59.9", "elite", 7199), ("01T02:00:00", "middle", 7200),
                                   ("02T00:00:00.999999", "middle", 86_400), ("02T00:00:01", "struggling", 86_401)]:
            self.assertEqual(self.onboard(deployed(f"2020-01-{at}Z", changes=by_ann)), ({"shipped", state}, seconds))
        self.assertEqual(self.onboard(), ({"waiting"}, None))
        self.assertEqual(self.onboard(deployed("2020-01-01", changes=by_ann, environment="staging")), ({"waiting"}, None))
        self.assertEqual(self.onboard(deployed("2020-01-01", changes=by_ann[:1], actor="ann")), ({"waiting"}, None))
        self.assertEqual(self.onboard(deployed("2020-01-01", changes=[], actor="ann")), ({"shipped", "elite"}, 0))
        self.assertEqual(self.onboard(deployed("2020-01-01", actor="ann")), ({"shipped", "elite"}, 0))
        gone = record("service.retired", "2020-01-03", "svc")
        self.assertEqual(self.onboard(gone, deployed("2020-01-04", actor="ann")), ({"retired"}, None))
        self.assertEqual(self.onboard(gone, deployed("2020-01-03", actor="ann")), ({"shipped", "struggling"}, 2 * 86_400))

    def test_starts_after_a_retirement(self):
        for gone, back, state in [("2020-01-01", None, "excluded_retired"), ("2019-12-01", None, "excluded_retired"), ("2019-12-01", "2019-11-30", "excluded_retired"),
                                  ("2019-12-01", "2019-12-01", "waiting"), ("2019-12-01", "2020-01-01", "waiting"), ("2019-12-01", "2020-01-02", "excluded_retired")]:
            history = [record("service.retired", gone, "svc")] + ([registered(back)] if back else [])
            again = record("onboarding.started", "2020-01-05", "svc", actor="ann")
            self.assertEqual(self.onboard(*history, again), ({state}, None), (gone, back))


class Surveys(unittest.TestCase):
    def test_last_answers(self):
        history = [answered("2020-01-01", "ann", 10), answered("2020-01-02", "ann", 3, id="a"), answered("2020-01-02", "ann", 9, id="b"),
                   answered("2020-01-02", "bob", 8), answered("2019-01-01", "eve", 0)]
        got = one(history, "nps", as_of="2020-01-31")
        self.assertEqual((got["value"], got["low"], got["counts"]), (50.0, None, {"promoters": 1, "passives": 1, "detractors": 0}))
        invitations = [record("survey.invited", "2020-01-02", "survey", {"survey": "q", "respondent": who}) for who in ("ann", "bob", "bob", "joe")]
        self.assertEqual(one(history + invitations, "nps", as_of="2020-01-31")["counts"]["invited"], 3)
        self.assertEqual(one(history + invitations, "nps", as_of="2020-06-30")["counts"]["invited"], 0)
        self.assertNotIn("invited", one(history + invitations, "nps", as_of="2020-01-01")["counts"])

    def test_last_answer_by_id_before_source(self):
        history = [answered("2020-01-01", "ann", 0, id="a", source="z"), answered("2020-01-01", "ann", 10, id="b", source="a")]
        self.assertEqual(one(history, "nps", as_of="2020-01-31")["value"], 100.0)

    def test_last_answer_within_the_group(self):
        history = [answered("2020-01-01", "ann", 10, team="a"), answered("2020-01-02", "ann", 0, team="b")]
        self.assertEqual([(a["labels"]["team"], a["value"]) for a in ask(history, "nps", by="team", as_of="2020-01-31")], [("a", 100.0), ("b", -100.0)])

    def test_withheld(self):
        def group(team, size):
            return [answered("2020-01-01", f"{team}{n}", 10, team=team) for n in range(size)]
        config = {"min_group": 5}
        answers = ask(group("a", 6) + group("b", 4) + group("c", 7), "nps", config, by="team", as_of="2020-01-31")
        self.assertEqual([a.get("notes") for a in answers], [["withheld"], ["withheld"], None])
        self.assertEqual(answers[0], {"metric": "nps", "labels": {"team": "a"}, "as_of": "2020-01-31", "value": None,
                                      "low": None, "high": None, "counts": {}, "notes": ["withheld"]})
        one_row = one(group("a", 6) + group("b", 4) + group("c", 7), "nps", config, team="a", as_of="2020-01-31")
        self.assertEqual(one_row, answers[0])
        answers = ask(group("a", 6) + group("b", 4) + group("c", 3), "nps", config, by="team", as_of="2020-01-31")
        self.assertEqual([a.get("notes") for a in answers], [None, ["withheld"], ["withheld"]])
        self.assertNotIn("notes", one(group("b", 4), "nps", config, as_of="2020-01-31"))       # the whole installation


class Generated(unittest.TestCase):
    """Over 50 seeds every rule is reached."""

    @classmethod
    def setUpClass(cls):
        cls.reached = reached = collections.Counter()
        for seed in range(50):
            records, config, questions = generate.generate(seed)
            reaching.look_at_records(records, reached)
            key = bytes.fromhex(config["privacy_key"])
            parsed = reading.winning([reading.parse_event(r, key) for r in records])
            reaching.look_at_history(World(parsed, config, values.parse_instant("2022-06-01T00:00:00Z")), reached)
            asked = oracle.Oracle(parsed, config)
            for question in questions:
                reaching.look_at_answers(question, asked.answer(question), reached)
                if "now" in question:
                    now = values.parse_instant(question["now"])
                    reached["now-on-an-event"] += any(event.at == now for event in parsed)
                    reached["now-just-after-an-event"] += any(event.at == now - 1 for event in parsed)

    def test_everything_is_reached(self):
        for name in reaching.NAMES:
            self.assertGreater(self.reached[name], 0, name)

    def test_deterministic(self):
        self.assertEqual(generate.generate(7), generate.generate(7))
        self.assertNotEqual(generate.generate(7), generate.generate(8))


if __name__ == "__main__":
    unittest.main()

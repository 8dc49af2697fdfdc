"""Questions for generate.py: all metrics, parameters, rules, breakdowns and filters, as of days and of instants."""

from values import DAY, day_of, format_day, format_instant

# Per history: how many questions of each metric.
NUMBERS = {"market_share": 10, "keep_rate": 16, "retention_curve": 4, "time_to_first_deploy": 9,
           "onboarding_time": 9, "self_service_rate": 10, "nps": 8, "deployment_frequency": 8, "lead_time_for_changes": 6,
           "slo_sli": 8, "slo_error_budget_remaining": 6, "slo_burn_rate": 6, "slo_compliance": 6,
           "change_failure_rate": 10, "failed_deployment_recovery_time": 8, "rework_rate": 4, "time_to_restore": 8}
DELIVERY_RULES = {"deployment_frequency": ["milepost", "devlake", "four_keys", "middleware"],
                  "change_failure_rate": ["milepost", "devlake", "middleware"]}
RULES = ["window_after", "exact_day", "window_before", "any_repeat", "on_or_after"]
DELIVERY = ("deployment_frequency", "lead_time_for_changes", "change_failure_rate", "failed_deployment_recovery_time",
            "rework_rate", "time_to_restore")
WINDOWS = ["1d", "2d", "7d", "28d", "90d", "180d", "400d"]


def as_of(random, instants, centre):
    """The end of a day, or an instant: on, just before and just after events, at midnight, anywhere."""
    kind = random.random()
    if kind < 0.3:
        return {"as_of": format_day(day_of(random.choice(instants)) + random.choice([-1, 0, 0, 1, 7, 30]))}
    if kind < 0.55:
        return {"as_of": format_day(centre + random.randint(-3, 120))}
    if kind < 0.8:
        return {"now": format_instant(random.choice(instants) + random.choice([0, 1, -1, DAY, DAY + 1]))}
    if kind < 0.9:
        return {"now": format_instant((centre + random.randint(0, 30)) * DAY)}
    return {"now": format_instant((centre + random.randint(0, 60)) * DAY + random.randrange(DAY))}


def make_question(random, metric, teams, services, capabilities):
    question = {"metric": metric}
    if metric.startswith("slo_"):
        if random.random() < 0.3:
            question["slo"] = random.choice(["ci", "deploys", "portal", "unheard-of"])
        return question

    def sometimes(name, values, p=0.6):
        if random.random() < p:
            question[name] = random.choice(values)

    about_units = metric in ("market_share", "keep_rate", "retention_curve")
    dimensions = ["team", "service"]
    if about_units:
        sometimes("unit", ["team", "service"], 0.7)
        if question.get("unit", "team") == "team":
            dimensions = ["team"]
    filters = {"team": teams, "service": services}
    if about_units or metric in ("self_service_rate", "nps"):
        dimensions = ["capability"] + dimensions
        filters["capability"] = capabilities + ["late-cap"]
    sometimes("by", dimensions, 0.4)
    if random.random() < 0.3:
        name = random.choice(dimensions)
        question[name] = random.choice(filters[name])
    if metric == "market_share":
        sometimes("window", WINDOWS)
    if metric in ("keep_rate", "retention_curve"):
        sometimes("grace", ["1d", "2d", "7d", "28d"], 0.8)
    if metric == "keep_rate":
        sometimes("horizon", ["1d", "2d", "7d", "14d", "30d", "90d"], 0.9)
        sometimes("rule", RULES, 0.7)
        sometimes("max_age", ["3d", "20d", "60d", "365d"], 0.35)
    if metric in ("time_to_first_deploy", "onboarding_time"):
        sometimes("window", ["3d", "28d", "180d", "400d", "1000d"], 0.7)
        sometimes("estimator", ["observed"], 0.35)
    if metric == "self_service_rate":
        sometimes("window", WINDOWS)
        sometimes("timeout", ["1s", "1h", "24h", "36h", "30d"], 0.4)
    if metric in DELIVERY:
        sometimes("window", WINDOWS + ["1000d"], 0.8)
    if metric in DELIVERY_RULES:
        sometimes("rule", DELIVERY_RULES[metric], 0.5)
    if metric in ("failed_deployment_recovery_time", "time_to_restore"):
        sometimes("estimator", ["observed"], 0.35)
    if metric == "nps":
        sometimes("window", WINDOWS + ["1000d"])
    return question


def make_questions(random, instants, centre, teams, services, capabilities):
    teams = teams + ["moved", "nobody"]
    services = services + ["svc-1", "svc-2"]
    questions = []
    for metric, number in NUMBERS.items():
        for _ in range(number):
            question = make_question(random, metric, teams, services, capabilities)
            questions.append({**question, **as_of(random, instants, centre)})
    random.shuffle(questions)
    return questions

//! Whether people would recommend the platform: the Net Promoter Score.

use super::tally::Tally;
use super::view::{Case, Class, Group, UnitRef, View};
use super::{Metric, Spec, parameter};
use crate::answer::{Kind, Part, Score};
use crate::event::EventKey;
use crate::model::names::Person;
use crate::model::surveys::Turn;
use crate::question::{Dimension, Parameter};
use crate::time::Timestamp;

pub(super) struct Nps;

/// Fewer answers than this have no margin.
const MARGIN_FROM: u64 = 5;

pub(super) static SPEC: Spec = Spec {
    name: "nps",
    kind: Kind::Score,
    help: "Net Promoter Score: share of scores 9 and 10 less share of scores 0 to 6, times 100.",
    definition: "Each respondent's last answer (latest by time, then by id) in the trailing window of W days, whole \
        numbers 0–10: 100 × (share of 9–10 − share of 0–6). Margin: 1.96 × 100 × √(((1−N)²·p₊ + N²·p₀ + (1+N)²·p₋)/n), N \
        the score as a fraction; none below n = 5. Broken down, it is the same of the answers that name, or belong to, \
        the group: the last answer is the last one about it. `invited` is there where invitations are known. Below the \
        whole installation, values about fewer than `min_group` (5) respondents are withheld.",
    parameters: &[
        parameter::CAPABILITY,
        parameter::TEAM,
        parameter::SERVICE,
        parameter::BY,
        Parameter { name: "window", default: "90d", help: "W, the trailing window" },
    ],
    dimensions: &[Dimension::Capability, Dimension::Team, Dimension::Service],
    rules: &[],
    default_by: None,
    window: |windows| windows.nps,
    counts: &[
        ("promoters", "respondents with 9 or 10"),
        ("passives", "respondents with 7 or 8"),
        ("detractors", "respondents with 0 to 6"),
        ("invited", "persons invited in the window, where invitations are known"),
    ],
    needs: &["survey_answered"],
    personal: true,
    exported: true,
};

static PROMOTERS: Class = Class { name: "promoters", part: Part::Observed, counts: &["promoters"] };
static PASSIVES: Class = Class { name: "passives", part: Part::Observed, counts: &["passives"] };
static DETRACTORS: Class = Class { name: "detractors", part: Part::Observed, counts: &["detractors"] };
static INVITED: Class = Class { name: "invited", part: Part::Excluded, counts: &["invited"] };
static INVITED_EARLIER: Class = Class { name: "invited_earlier", part: Part::Excluded, counts: &[] };

/// Whether anyone of the group was ever invited.
pub(super) fn invitations_known(tally: &Tally) -> bool {
    tally.has(&INVITED) || tally.has(&INVITED_EARLIER)
}

/// The score of so many answers, with its 95 % interval; `None` without any.
pub(super) fn score(promoters: u64, passives: u64, detractors: u64) -> Option<Score> {
    let n = promoters + passives + detractors;
    if n == 0 {
        return None;
    }
    let share = |count: u64| count as f64 / n as f64;
    let balance = promoters as f64 - detractors as f64;
    let (value, as_fraction) = (100.0 * balance / n as f64, balance / n as f64);
    let variance = (1.0 - as_fraction).powi(2) * share(promoters)
        + as_fraction.powi(2) * share(passives)
        + (1.0 + as_fraction).powi(2) * share(detractors);
    let margin = 1.96 * 100.0 * (variance / n as f64).sqrt();
    Some(Score { value, interval: (n >= MARGIN_FROM).then_some((value - margin, value + margin)) })
}

impl Metric for Nps {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        for (person, turns) in view.model.surveys.all() {
            let unit = UnitRef::Respondent(person);
            let turns: Vec<&Turn> = turns.collect();
            for (group, last) in last_by_group(view, &turns, true) {
                let class = match last.score.unwrap_or_default() {
                    9.. => &PROMOTERS,
                    7..9 => &PASSIVES,
                    ..7 => &DETRACTORS,
                };
                each(Case { group, unit, class, measure: None });
            }
            for (group, last) in last_by_group(view, &turns, false) {
                let in_window = last.place.at.day() >= view.window_start();
                let class = if in_window { &INVITED } else { &INVITED_EARLIER };
                each(Case { group, unit, class, measure: None });
            }
        }
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        let UnitRef::Respondent(person) = case.unit else { return Vec::new() };
        let answers = case.class.part != Part::Excluded;
        last_of(view, person, case.group, answers)
            .map(|turn| view.event_at(&turn.place))
            .into_iter()
            .collect()
    }
}

/// The last answer in the window, or the last invitation ever, of one person in each group they belong to.
fn last_by_group<'a>(view: &View<'a>, turns: &[&'a Turn], answers: bool) -> Vec<(Group, &'a Turn)> {
    let mut last: Vec<(Group, &Turn)> = Vec::new();
    let seen = turns.iter().filter(|turn| turn.place.at < view.at && turn.score.is_some() == answers);
    let seen = seen.filter(|turn| !answers || turn.place.at.day() >= view.window_start());
    let group_of = |turn: &Turn| view.group_of(turn.subject, turn.place.at);
    for (turn, group) in seen.filter_map(|turn| Some((*turn, group_of(turn)?))) {
        match last.iter_mut().find(|(known, _)| *known == group) {
            Some((_, latest)) => *latest = turn,
            None => last.push((group, turn)),
        }
    }
    last
}

fn last_of<'a>(view: &View<'a>, person: Person, group: Group, answers: bool) -> Option<&'a Turn> {
    let turns: Vec<&Turn> = view.model.surveys.of(person).collect();
    last_by_group(view, &turns, answers).into_iter().find(|(known, _)| *known == group).map(|(_, turn)| turn)
}

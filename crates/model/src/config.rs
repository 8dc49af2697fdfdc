//! The part of the configuration that numbers depend on. It is part of every answer: its digest travels with it.

pub mod slo;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::time::{Day, Span};
use slo::Slo;

/// What is configured about one capability.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CapabilityConfig {
    /// Deploys through this capability are on the golden path.
    pub golden_path: bool,
    /// Teams must use it. Wins over what its registration says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mandated: Option<bool>,
    /// Since when its use is observed: a day. Wins over what its registration says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_since: Option<Day>,
    /// Teams that could use it, as patterns in which `*` stands for any text. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eligible_teams: Option<Vec<String>>,
    /// Teams that could not; wins over `eligible_teams`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ineligible_teams: Vec<String>,
    /// Services that could use it. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eligible_services: Option<Vec<String>>,
    /// Services that could not; wins over `eligible_services`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ineligible_services: Vec<String>,
    /// After how long an unfinished interaction with it counts as abandoned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// What every number depends on, beside the events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// By capability.
    pub capabilities: BTreeMap<String, CapabilityConfig>,
    /// The environments that are production.
    pub production: Vec<String>,
    /// A value below the whole installation about fewer persons than this is withheld.
    pub min_group: u32,
    /// After how long an unfinished interaction counts as abandoned, unless its capability says otherwise.
    pub timeout: Span,
    /// How long after a deploy an incident of its service may begin and still be put down to it, where nothing else says what
    /// is to blame.
    pub incident_gap: Span,
    /// Service level objectives, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub slo: BTreeMap<String, Slo>,
    /// Defaults of the parameters of the metrics.
    pub windows: Windows,
}

/// Defaults of the metrics' parameters, as spans of whole days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Windows {
    /// Trailing window of `market_share`.
    pub market_share: Span,
    /// Trailing window of `self_service_rate`.
    pub self_service_rate: Span,
    /// Trailing window of `nps`.
    pub nps: Span,
    /// Trailing window of `time_to_first_deploy`.
    pub time_to_first_deploy: Span,
    /// Trailing window of `onboarding_time`.
    pub onboarding_time: Span,
    /// Trailing window of the delivery metrics.
    pub delivery: Span,
    /// Horizon of `keep_rate`.
    pub horizon: Span,
    /// Grace of `keep_rate` and `retention_curve`.
    pub grace: Span,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            market_share: Span::days(28),
            self_service_rate: Span::days(28),
            nps: Span::days(90),
            time_to_first_deploy: Span::days(180),
            onboarding_time: Span::days(180),
            delivery: Span::days(28),
            horizon: Span::days(90),
            grace: Span::days(28),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            capabilities: BTreeMap::new(),
            production: vec!["production".into(), "prod".into()],
            min_group: 5,
            timeout: Span::hours(24),
            incident_gap: Span::hours(24),
            slo: BTreeMap::new(),
            windows: Windows::default(),
        }
    }
}

impl CapabilityConfig {
    /// Whether no unit of either kind is left out.
    pub fn everyone_is_eligible(&self) -> bool {
        self.eligible_teams.is_none()
            && self.ineligible_teams.is_empty()
            && self.eligible_services.is_none()
            && self.ineligible_services.is_empty()
    }
}

impl Config {
    /// Hex SHA-256 of its canonical form: equal digests, equal answers to equal events.
    pub fn digest(&self) -> String {
        let canonical = serde_json::to_vec(self).unwrap_or_default();
        crate::event::hex(&Sha256::digest(&canonical))
    }

    /// Whether deploys through this capability are on the golden path.
    pub fn golden_path(&self, capability: &str) -> bool {
        self.capabilities.get(capability).is_some_and(|c| c.golden_path)
    }

    /// After how long an interaction with this capability counts as abandoned.
    pub fn timeout(&self, capability: Option<&str>) -> Span {
        capability.and_then(|c| self.capabilities.get(c)).and_then(|c| c.timeout).unwrap_or(self.timeout)
    }

    /// Whether this team could use the capability.
    pub fn eligible_team(&self, capability: &str, team: &str) -> bool {
        self.capabilities
            .get(capability)
            .is_none_or(|c| eligible(c.eligible_teams.as_deref(), &c.ineligible_teams, team))
    }

    /// Whether this service could use the capability.
    pub fn eligible_service(&self, capability: &str, service: &str) -> bool {
        self.capabilities
            .get(capability)
            .is_none_or(|c| eligible(c.eligible_services.as_deref(), &c.ineligible_services, service))
    }

    /// Spans that must be whole days and are not, each with its key and the reason. Objectives know theirs: [`Slo::errors`].
    pub fn errors(&self) -> Vec<(String, String)> {
        let w = &self.windows;
        [
            ("windows.market_share", w.market_share),
            ("windows.self_service_rate", w.self_service_rate),
            ("windows.nps", w.nps),
            ("windows.time_to_first_deploy", w.time_to_first_deploy),
            ("windows.onboarding_time", w.onboarding_time),
            ("windows.delivery", w.delivery),
            ("windows.horizon", w.horizon),
            ("windows.grace", w.grace),
        ]
        .into_iter()
        .filter_map(|(key, span)| Some((key.to_owned(), span.whole_days().err()?.to_string())))
        .collect()
    }
}

fn eligible(only: Option<&[String]>, never: &[String], name: &str) -> bool {
    only.is_none_or(|patterns| patterns.iter().any(|p| matches(p, name)))
        && !never.iter().any(|p| matches(p, name))
}

/// Whether the name fits the pattern, in which `*` stands for any text, also none.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            // The leftmost fit of a middle part leaves the most for those behind it.
            let Some(at) = rest.find(middle) else { return false };
            rest = &rest[at + middle.len()..];
        }
    }
    last.map_or(rest.is_empty(), |end| rest.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("*b*", "abc", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn the_digest_changes_with_every_value() {
        let mut config = Config::default();
        let before = config.digest();
        config.capabilities.entry("ci".into()).or_default().golden_path = true;
        assert_ne!(config.digest(), before);
        assert_eq!(before.len(), 64);
    }
}

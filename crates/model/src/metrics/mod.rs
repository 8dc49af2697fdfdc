//! The metrics, one file each. To add one: write its file, add it to [`registry`].
//!
//! Exporter, query API, command line, `# HELP` texts and the reference page follow from its [`Spec`]. A metric says of
//! every unit what became of it ([`Metric::visit`]); values, counts and explanations are all made from that, so an
//! explanation cannot differ from the value it explains.

mod ask;
mod blame;
mod change_failure_rate;
mod deployment_frequency;
mod existing;
mod failed_deployment_recovery_time;
mod keep_rate;
mod lead_time_for_changes;
mod levels;
mod market_share;
mod nps;
mod onboarding_time;
mod retention_curve;
mod rework_rate;
mod self_service_rate;
mod slo_burn_rate;
mod slo_compliance;
mod slo_error_budget_remaining;
mod slo_sli;
mod survival;
mod tally;
mod time_to_first_deploy;
mod time_to_restore;
mod view;

pub use ask::{MAX_ANSWERS, explain, query, query_range};
pub use tally::QUANTILES;
pub use tally::Tally;
pub use view::{Case, Class, Group, Point, UnitRef, View};

use crate::answer::{Kind, Ratio};
use crate::config::{Config, Windows};
use crate::event::EventKey;
use crate::model::Model;
use crate::question::{Dimension, Parameter, Question, QuestionError, Rule};
use crate::time::{Day, Span, Timestamp};

/// What a metric says about itself.
#[derive(Debug)]
pub struct Spec {
    /// Its name: `[a-z_]+`.
    pub name: &'static str,
    /// What kind of number.
    pub kind: Kind,
    /// One line.
    pub help: &'static str,
    /// The whole definition, in Markdown.
    pub definition: &'static str,
    /// The parameters it takes, beside the day.
    pub parameters: &'static [Parameter],
    /// The rules it has to choose from, the default first.
    pub rules: &'static [Rule],
    /// What it can be broken down by and narrowed to.
    pub dimensions: &'static [Dimension],
    /// What it is always broken down by, or by default if `by` may replace it.
    pub default_by: Option<DefaultBy>,
    /// The trailing window the configuration gives it.
    pub window: fn(&Windows) -> Span,
    /// Names of its counts, each with what it counts.
    pub counts: &'static [(&'static str, &'static str)],
    /// What it needs to be told, as event types: for those who wonder why there is no value.
    pub needs: &'static [&'static str],
    /// Whether it is about persons, so that values about few of them are withheld.
    pub personal: bool,
    /// Whether it goes out as Prometheus gauges, with its default parameters.
    pub exported: bool,
}

/// What a metric is broken down by unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultBy {
    /// By this, and by `by` as well: the value has no meaning without.
    Always(Dimension),
    /// By this, or by `by` instead.
    Unless(Dimension),
}

/// Answers of one group as of each of many days.
pub type Series = Vec<(Group, Vec<Ratio>)>;

/// A metric: a pure function of (Model, Config, as of), with its description.
pub trait Metric: Sync {
    /// What it says about itself.
    fn spec(&self) -> &'static Spec;

    /// Refuses questions that make no sense for it, beyond what its parameters say.
    fn check(&self, _question: &Question) -> Result<(), QuestionError> {
        Ok(())
    }

    /// The numbers it has for the same units, if there are several.
    fn points(&self) -> &'static [Point] {
        &[]
    }

    /// The value of a group, for a metric of kind [`Kind::Number`].
    fn number(&self, _: &View<'_>, _: Group, _: &Tally) -> Option<f64> {
        None
    }

    /// Says of every unit in view what became of it.
    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>));

    /// The events that what became of a unit rests on.
    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)>;

    /// All values as of the end of each day of `from` … `to`, if there is a faster way than asking for each. Groups that
    /// have not appeared by a day are left out by the caller.
    fn series(&self, _: &Model, _: &Config, _: &Question, _from: Day, _to: Day) -> Option<Series> {
        None
    }
}

/// Every metric, in the order of METRICS.
pub fn registry() -> &'static [&'static dyn Metric] {
    &[
        &market_share::MarketShare,
        &keep_rate::KeepRate,
        &retention_curve::RetentionCurve,
        &time_to_first_deploy::TimeToFirstDeploy,
        &onboarding_time::OnboardingTime,
        &self_service_rate::SelfServiceRate,
        &nps::Nps,
        &slo_sli::SloSli,
        &slo_error_budget_remaining::SloErrorBudgetRemaining,
        &slo_burn_rate::SloBurnRate,
        &slo_compliance::SloCompliance,
        &deployment_frequency::DeploymentFrequency,
        &lead_time_for_changes::LeadTimeForChanges,
        &change_failure_rate::ChangeFailureRate,
        &failed_deployment_recovery_time::FailedDeploymentRecoveryTime,
        &rework_rate::ReworkRate,
        &time_to_restore::TimeToRestore,
    ]
}

/// The metric of this name.
pub fn find(name: &str) -> Result<&'static dyn Metric, QuestionError> {
    registry().iter().copied().find(|m| m.spec().name == name).ok_or_else(|| {
        let names: Vec<_> = registry().iter().map(|m| m.spec().name).collect();
        QuestionError::new("metric", format!("`{name}` is none of {}", names.join(", ")))
    })
}

/// Parameters that several metrics take.
mod parameter {
    use crate::question::Parameter;

    pub(super) const CAPABILITY: Parameter =
        Parameter { name: "capability", default: "all", help: "only this capability" };
    pub(super) const TEAM: Parameter = Parameter { name: "team", default: "all", help: "only this team" };
    pub(super) const SERVICE: Parameter =
        Parameter { name: "service", default: "all", help: "only this service" };
    pub(super) const SLO: Parameter = Parameter { name: "slo", default: "all", help: "only this objective" };
    pub(super) const BY: Parameter =
        Parameter { name: "by", default: "", help: "one answer for each of these" };
    pub(super) const UNIT: Parameter =
        Parameter { name: "unit", default: "team", help: "what is counted: team or service" };
    pub(super) const DELIVERY_WINDOW: Parameter =
        Parameter { name: "window", default: "28d", help: "W, the trailing window" };
    pub(super) const ESTIMATOR: Parameter = Parameter {
        name: "estimator",
        default: "kaplan_meier",
        help: "how quantiles treat the unfinished: kaplan_meier counts them for as long as they were seen, observed leaves them out",
    };
}

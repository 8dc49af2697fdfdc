//! How many deploys nobody had planned.

use super::deployment_frequency::{group_of, in_production};
use super::view::{Case, Class, UnitRef, View};
use super::{Metric, Spec, parameter};
use crate::answer::{Kind, Part};
use crate::event::{DeployKind, EventKey};
use crate::model::work::Deployment;
use crate::question::Dimension;
use crate::time::Timestamp;

pub(super) struct ReworkRate;

static SPEC: Spec = Spec {
    name: "rework_rate",
    kind: Kind::Ratio,
    help: "Share of the production deploys that were not planned: hotfixes and rollbacks.",
    definition: "Denominator: production deploys in the trailing window of W days, however they ended. Numerator: those of them \
        that are rollbacks, or that their events call unplanned. A deploy is counted under the service it names and the team \
        that it names or belongs to.",
    parameters: &[parameter::TEAM, parameter::SERVICE, parameter::BY, parameter::DELIVERY_WINDOW],
    rules: &[],
    dimensions: &[Dimension::Team, Dimension::Service],
    default_by: None,
    window: |windows| windows.delivery,
    counts: &[
        ("rolled_back", "rollbacks"),
        ("hotfix", "other deploys that were not planned"),
        ("planned", "all others"),
    ],
    needs: &["deployed"],
    personal: false,
    exported: true,
};

static ROLLED_BACK: Class = Class { name: "rolled_back", part: Part::Numerator, counts: &["rolled_back"] };
static HOTFIX: Class = Class { name: "hotfix", part: Part::Numerator, counts: &["hotfix"] };
static PLANNED: Class = Class { name: "planned", part: Part::Denominator, counts: &["planned"] };

fn class(deploy: &Deployment) -> &'static Class {
    match (deploy.kind, deploy.unplanned) {
        (DeployKind::RolledBack, _) => &ROLLED_BACK,
        (_, true) => &HOTFIX,
        (_, false) => &PLANNED,
    }
}

impl Metric for ReworkRate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        let production = view.production();
        for service in view.model.service_names.all() {
            for deploy in in_production(view, &production, service) {
                let Some(group) = group_of(view, service, deploy) else { continue };
                let unit = UnitRef::Deploy(service, deploy);
                each(Case { group, unit, class: class(deploy), measure: None });
            }
        }
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        let UnitRef::Deploy(_, deploy) = case.unit else { return Vec::new() };
        vec![view.event_at(&deploy.place)]
    }
}

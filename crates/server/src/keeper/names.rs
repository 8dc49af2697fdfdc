//! The budget of names: how many teams, services and capabilities there may ever be.
//!
//! Every name costs memory for as long as the process lives, and every answer by name a row. A sender that makes up a
//! name for each event would have both without end. What comes first gets in; retirements give nothing back, as the
//! past of what is retired is still asked about.
//!
//! Held where the one writer commits (see [`super::refusals`]), so that no two requests can take the last place both.

use milepost_model::model::names::{Names, Symbol};
use milepost_model::{Body, Event, Model, Reason, Refusal};
use rustc_hash::FxHashSet;

/// How many names of each kind are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameLimits {
    /// Teams.
    pub teams: usize,
    /// Services.
    pub services: usize,
    /// Capabilities.
    pub capabilities: usize,
}

impl Default for NameLimits {
    fn default() -> Self {
        Self { teams: 100_000, services: 1_000_000, capabilities: 1_000 }
    }
}

/// One kind of names while a commit is looked through.
struct Kind<'a> {
    limit: (&'static str, usize),
    known: usize,
    /// New with this commit.
    fresh: FxHashSet<&'a str>,
}

impl<'a> Kind<'a> {
    /// Notes a name, or refuses the event for it.
    fn admit<S: Symbol>(
        &mut self,
        field: &str,
        name: Option<&'a String>,
        names: &Names<S>,
    ) -> Result<(), Refusal> {
        let Some(name) = name else { return Ok(()) };
        if names.get(name).is_some() || self.fresh.contains(name.as_str()) {
            return Ok(());
        }
        let (key, most) = self.limit;
        if self.known + self.fresh.len() >= most {
            let message = format!(
                "a new name, and there are {most} already, which is limits.{key}: raise it if they are all real; if the \
                 sender makes up a name for each event, mend the sender"
            );
            return Err(Refusal::new(Reason::TooManyNames, field, message));
        }
        self.fresh.insert(name);
        Ok(())
    }
}

/// For each event why it is refused, if it is; none at all if there is room for whatever they name.
pub(super) fn refusals<'a>(
    model: &Model,
    limits: NameLimits,
    events: impl ExactSizeIterator<Item = &'a Event>,
) -> Vec<Option<Refusal>> {
    // An event names at most two teams: its own and an owner.
    let most = 2 * events.len();
    let room = |known: usize, limit: usize| known + most <= limit;
    let (teams, services) = (model.team_names.len(), model.service_names.len());
    let capabilities = model.capability_names.len();
    if room(teams, limits.teams) && room(services, limits.services) && room(capabilities, limits.capabilities)
    {
        return Vec::new();
    }
    let kind = |key, most, known| Kind { limit: (key, most), known, fresh: FxHashSet::default() };
    let mut kinds = (
        kind("teams", limits.teams, teams),
        kind("services", limits.services, services),
        kind("capabilities", limits.capabilities, capabilities),
    );
    events.map(|event| admit(model, event, &mut kinds).err()).collect()
}

fn admit<'a>(
    model: &Model,
    event: &'a Event,
    (teams, services, capabilities): &mut (Kind<'a>, Kind<'a>, Kind<'a>),
) -> Result<(), Refusal> {
    let content = &event.content;
    let owner = match &content.body {
        Body::ServiceRegistered { owner, .. } => owner.as_ref(),
        _ => None,
    };
    teams.admit("team", content.team.as_ref(), &model.team_names)?;
    teams.admit("owner", owner, &model.team_names)?;
    services.admit("service", content.service.as_ref(), &model.service_names)?;
    capabilities.admit("capability", content.capability.as_ref(), &model.capability_names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::used;

    const AT: &str = "2026-01-01T00:00:00Z";

    fn reasons(model: &Model, limits: NameLimits, events: &[Event]) -> Vec<bool> {
        let refusals = refusals(model, limits, events.iter());
        assert!(refusals.iter().flatten().all(|refusal| refusal.reason == Reason::TooManyNames));
        refusals.iter().map(Option::is_some).collect()
    }

    #[test]
    fn names_beyond_the_limit_are_refused_and_known_ones_are_not() {
        let mut model = Model::new();
        model.insert(&used(AT, "a", "ci"));
        let limits = NameLimits { teams: 2, ..NameLimits::default() };
        let events = ["a", "b", "c", "b", "a"].map(|team| used(AT, team, "ci"));
        assert_eq!(reasons(&model, limits, &events), [false, false, true, false, false]);
        let limits = NameLimits { capabilities: 1, ..NameLimits::default() };
        let events = ["ci", "docs"].map(|capability| used(AT, "a", capability));
        assert_eq!(reasons(&model, limits, &events), [false, true]);
        assert!(reasons(&model, NameLimits::default(), &events).is_empty());
    }

    #[test]
    fn the_message_names_the_limit_and_not_the_name() {
        let limits = NameLimits { services: 0, ..NameLimits::default() };
        let mut event = used(AT, "a", "ci");
        event.content.service = Some("made-up".into());
        let refusals = refusals(&Model::new(), limits, [event].iter());
        let refusal = refusals[0].as_ref().unwrap();
        assert_eq!(refusal.field, "service");
        assert!(refusal.message.contains("limits.services") && !refusal.message.contains("made-up"));
    }
}

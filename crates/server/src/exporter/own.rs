//! Milepost's own health as Prometheus families.

use std::sync::atomic::Ordering::Relaxed;

use milepost_model::refusal::Reason;
use milepost_model::{Door, Timestamp};
use milepost_store::{Horizon, Sizes};

use super::exposition::{Family, Number};
use crate::engine::Engine;
use crate::health::Health;

/// What came in, and what became of it.
pub(crate) fn doors(health: &Health) -> Vec<Family> {
    let mut fates =
        Family::counter("milepost_events", "Events received, by door and by what became of them.");
    let mut refused = Family::counter("milepost_refused_events", "Events refused, by door and reason.");
    let mut unreadable = Family::counter(
        "milepost_unreadable_requests",
        "Requests that could not be taken apart into events, by door. Their events are in no other count.",
    );
    for door in Door::ALL {
        let counts = health.events.read(door);
        let label = || ("door", door.as_str().to_owned());
        for (fate, count) in [
            ("stored", counts.stored),
            ("duplicate", counts.duplicate),
            ("refused", counts.refused()),
            ("handed_back", counts.handed_back),
        ] {
            fates.push(vec![label(), ("fate", fate.to_owned())], Number::Count(count));
        }
        for (reason, count) in Reason::ALL.into_iter().zip(counts.refused) {
            refused.push(vec![label(), ("reason", reason.as_str().to_owned())], Number::Count(count));
        }
        unreadable.push(vec![label()], Number::Count(counts.unreadable));
    }
    vec![fates, refused, unreadable]
}

/// Not among the events received: they were counted as refused when they came.
pub(crate) fn retried(health: &Health) -> Family {
    let help = "Refused events that `milepost quarantine retry` tried again, by what became of them.";
    ["stored", "duplicate", "refused"].into_iter().zip(&health.retried).fold(
        Family::counter("milepost_quarantine_retried_events", help),
        |family, (fate, count)| {
            family.with(vec![("fate", fate.to_owned())], Number::Count(count.load(Relaxed)))
        },
    )
}

/// Who was turned away.
pub(crate) fn denied(health: &Health) -> Family {
    let (unauthenticated, forbidden) = health.denials();
    let help = "Requests turned away: without a good token, and with one that is for something else.";
    [("unauthenticated", unauthenticated), ("forbidden", forbidden)]
        .into_iter()
        .fold(Family::counter("milepost_denied_requests", help), |family, (reason, count)| {
            family.with(vec![("reason", reason.to_owned())], Number::Count(count))
        })
}

/// How what came in is kept.
pub(crate) fn keeping(health: &Health) -> Vec<Family> {
    let histogram = |name, help, histogram: &crate::health::Histogram| {
        Family::histogram(name, help).with_histogram(&histogram.read())
    };
    let mut families = vec![
        gauge("milepost_queue_events", "Events waiting to be committed.", health.queue_events.load(Relaxed)),
        histogram(
            "milepost_commit_events",
            "Events of each commit, refused ones included.",
            &health.commit_events,
        ),
        histogram(
            "milepost_commit_seconds",
            "How long each commit took, until it was durable.",
            &health.commit_seconds,
        ),
        histogram(
            "milepost_freshness_seconds",
            "From the acceptance of events to their being in every answer.",
            &health.freshness_seconds,
        ),
        counter(
            "milepost_commit_failures",
            "Commits that failed. Their events were handed back to be sent again.",
            health.commit_failures.load(Relaxed),
        ),
        counter(
            "milepost_conflicts",
            "Events that came with the same revision as a kept one and another content.",
            health.conflicts.load(Relaxed),
        ),
    ];
    if let Some(at) = health.last_commit() {
        let help = "When events were last committed, as a Unix time.";
        families.push(
            Family::gauge("milepost_last_commit_timestamp_seconds", help)
                .with(Vec::new(), Number::Real(unix(at))),
        );
    }
    families
}

/// What the Model holds, and the store it is of.
pub(crate) fn model(engine: &Engine) -> Vec<Family> {
    // A store that cannot be asked is told of by what fails; the rest of the scrape still counts.
    let (sizes, horizon) = {
        let mut reader = engine.reader.lock();
        (reader.sizes().ok(), reader.horizon().ok().flatten())
    };
    model_of(engine, sizes, horizon)
}

/// The same, where the store has been asked already.
pub(crate) fn model_of(engine: &Engine, sizes: Option<Sizes>, horizon: Option<Horizon>) -> Vec<Family> {
    let events = engine.model.read().events() as u64;
    let mut families = vec![gauge("milepost_model_events", "Winning events in the Model.", events)];
    families.extend(sizes.into_iter().flat_map(kept));
    families.extend(retention(horizon));
    families
}

fn kept(sizes: Sizes) -> Vec<Family> {
    vec![
        gauge("milepost_store_versions", "Versions of events kept.", sizes.versions),
        gauge(
            "milepost_store_superseded_versions",
            "Versions kept that a larger one wins over.",
            sizes.superseded,
        ),
        gauge("milepost_store_winners", "Versions kept that win: one for each event.", sizes.winners()),
        gauge("milepost_quarantine_events", "Refused events kept in the quarantine.", sizes.quarantined),
        gauge(
            "milepost_quarantine_size_bytes",
            "Their texts and what was sent, as far as it is kept.",
            sizes.quarantined_bytes,
        ),
        counter(
            "milepost_quarantine_dropped_events",
            "Refused events ever that the quarantine dropped, to make room for newer ones or as too old.",
            sizes.quarantine_dropped,
        ),
        gauge("milepost_store_size_bytes", "Size of the store on disk.", sizes.bytes),
    ]
}

/// How far retention has come, if it was ever on.
fn retention(horizon: Option<Horizon>) -> Vec<Family> {
    let dropped = counter(
        "milepost_retention_dropped_events",
        "Versions of events ever whose contents retention has dropped.",
        horizon.map_or(0, |horizon| horizon.dropped),
    );
    let help = "Retention has frozen what happened before this Unix time.";
    let at = horizon.map(|horizon| {
        Family::gauge("milepost_retention_horizon_timestamp_seconds", help)
            .with(Vec::new(), Number::Real(unix(horizon.at)))
    });
    std::iter::once(dropped).chain(at).collect()
}

/// Which Milepost this is.
pub(crate) fn identity(config_digest: &str) -> Vec<Family> {
    let info = |name, help, label, value: &str| {
        Family::gauge(name, help).with(vec![(label, value.to_owned())], Number::Count(1))
    };
    vec![
        info(
            "milepost_build_info",
            "Which Milepost this is; always 1.",
            "version",
            env!("CARGO_PKG_VERSION"),
        ),
        info(
            "milepost_config_info",
            "Digest of the configuration that the metrics rest on; always 1.",
            "digest",
            config_digest,
        ),
    ]
}

/// How much is exported, all of `families` and these themselves, and what is not for want of room.
pub(super) fn exported(families: &[Family], folded: usize, limit: usize) -> Vec<Family> {
    let series: usize = families.iter().map(Family::series).sum();
    let own = [
        ("milepost_exporter_series", "Series of this scrape.", series + 3),
        ("milepost_exporter_series_limit", "Series that one scrape has at most: limits.series.", limit),
        (
            "milepost_exporter_series_folded_capabilities",
            "Capabilities whose series are added up under `other`, as there is no room for more.",
            folded,
        ),
    ];
    own.map(|(name, help, value)| gauge(name, help, value as u64)).into()
}

/// A gauge of one series.
pub(crate) fn gauge(name: &str, help: &str, value: u64) -> Family {
    Family::gauge(name, help).with(Vec::new(), Number::Count(value))
}

/// A counter of one series.
pub(crate) fn counter(name: &str, help: &str, value: u64) -> Family {
    Family::counter(name, help).with(Vec::new(), Number::Count(value))
}

/// An instant as a Unix time in seconds.
pub(super) fn unix(at: Timestamp) -> f64 {
    at.micros() as f64 / 1e6
}

//! Values that can be read and make no sense.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use milepost_model::refusal::flaw;

use super::{LimitSettings, Settings, cluster};

/// The smallest numbers that make sense, where that is not 0.
const LEAST: [(&str, usize); 13] = [
    // Less than this, and a scrape of a few services finds no room.
    ("limits.answers_bytes", 1024 * 1024),
    ("limits.batch_events", 1),
    // Less than this, and hardly an event fits in.
    ("limits.body_bytes", 1024),
    ("limits.connections", 1),
    ("limits.connections_per_peer", 1),
    ("limits.event_bytes", 1),
    ("limits.identity_bytes", 1),
    ("limits.name_bytes", 1),
    ("limits.queue_events", 1),
    ("limits.requests", 1),
    ("limits.requests_per_peer", 1),
    // Milepost's own, and a few beside them.
    ("limits.series", 500),
    ("limits.stream_batches", 1),
];

/// The smallest number that makes sense at this key.
pub(super) fn least(key: &str) -> usize {
    LEAST.iter().find(|(name, _)| *name == key).map_or(0, |(_, least)| *least)
}

/// A value that makes no sense.
pub(super) struct Senseless {
    /// Its key.
    pub(super) path: Vec<String>,
    /// The key of another value without which it would make sense.
    pub(super) beside: Option<&'static str>,
    /// What is wrong and how to mend it.
    pub(super) message: String,
}

impl Senseless {
    fn new(path: &[&str], message: impl Into<String>) -> Self {
        let path = path.iter().map(|key| (*key).to_owned()).collect();
        Self { path, beside: None, message: message.into() }
    }

    fn at(key: &str, message: impl Into<String>) -> Self {
        Self::new(&key.split('.').collect::<Vec<_>>(), message)
    }
}

/// All there are of them.
pub(super) fn senseless(settings: &Settings) -> Vec<Senseless> {
    let mut all = Vec::new();
    all.extend(no_address(&settings.listen).map(|message| Senseless::new(&["listen"], message)));
    if settings.data.as_os_str().is_empty() {
        all.push(Senseless::new(&["data"], "empty: name a directory"));
    }
    limits(&settings.limits, &mut all);
    all.extend(cluster::senseless(settings).into_iter().map(|(key, message)| Senseless::at(key, message)));
    if settings.retention.days == Some(0) {
        let message =
            "0 would drop all that is from before today: write at least 1, or nothing to keep everything";
        all.push(Senseless::at("retention.days", message));
    }
    production(&settings.production, &mut all);
    let at_once = "0s would take every interaction for abandoned: write at least 1s";
    if settings.timeout.seconds() == 0 {
        all.push(Senseless::new(&["timeout"], at_once));
    }
    for (name, capability) in &settings.capabilities {
        if let Some(flaw) = flaw(name) {
            // Not repeated as it is: it is not fit to be printed.
            let message = format!("the name {flaw}; no event can have it");
            all.push(Senseless::new(&["capabilities", &name.escape_debug().to_string()], message));
        }
        if capability.timeout.is_some_and(|timeout| timeout.seconds() == 0) {
            all.push(Senseless::new(&["capabilities", name, "timeout"], at_once));
        }
    }
    for (name, slo) in &settings.slo {
        let shown = name.escape_debug().to_string();
        if let Some(flaw) = flaw(name) {
            all.push(Senseless::new(&["slo", &shown], format!("the name {flaw}")));
        }
        let errors = slo.errors().into_iter();
        all.extend(errors.map(|(key, message)| Senseless::new(&["slo", &shown, key], message)));
    }
    all.extend(settings.metrics().errors().into_iter().map(|(key, message)| Senseless::at(&key, message)));
    all
}

fn limits(limits: &LimitSettings, all: &mut Vec<Senseless>) {
    let value = |key: &str| match key {
        "limits.answers_bytes" => limits.answers_bytes,
        "limits.batch_events" => limits.batch_events,
        "limits.body_bytes" => limits.body_bytes,
        "limits.connections" => limits.connections,
        "limits.connections_per_peer" => limits.connections_per_peer,
        "limits.event_bytes" => limits.event_bytes,
        "limits.identity_bytes" => limits.identity_bytes,
        "limits.name_bytes" => limits.name_bytes,
        "limits.queue_events" => limits.queue_events as usize,
        "limits.requests" => limits.requests,
        "limits.requests_per_peer" => limits.requests_per_peer,
        "limits.series" => limits.series,
        _ => limits.stream_batches,
    };
    for (key, least) in LEAST {
        match value(key) {
            0 => all.push(Senseless::at(key, format!("0 would take nothing: write at least {least}"))),
            few if few < least => {
                all.push(Senseless::at(
                    key,
                    format!("{few} would take hardly anything: write at least {least}"),
                ));
            }
            _ => {}
        }
    }
    let LimitSettings { bodies_bytes, decoded_bytes, body_bytes, event_bytes, .. } = *limits;
    for (key, room) in [("limits.bodies_bytes", bodies_bytes), ("limits.decoded_bytes", decoded_bytes)] {
        if body_bytes > room {
            let message = format!(
                "{room} is less than limits.body_bytes, {body_bytes}: a body has to fit into the room of all"
            );
            let beside = Some("limits.body_bytes");
            all.push(Senseless { beside, ..Senseless::at(key, message) });
        }
    }
    if event_bytes > body_bytes {
        let message = format!(
            "{event_bytes} is more than limits.body_bytes, {body_bytes}: an event has to fit into a request"
        );
        let beside = Some("limits.body_bytes");
        all.push(Senseless { beside, ..Senseless::at("limits.event_bytes", message) });
    }
}

fn production(environments: &[String], all: &mut Vec<Senseless>) {
    let message = if environments.is_empty() {
        "empty: no deploy would count; name the environments that are production, such as [\"production\"]"
            .to_owned()
    } else if environments.iter().any(String::is_empty) {
        "one of the names is empty: no deploy can have it".to_owned()
    } else if let Some(flaw) = environments.iter().find_map(|name| flaw(name)) {
        format!("one of the names {flaw}; no deploy can have it")
    } else {
        return;
    };
    all.push(Senseless::new(&["production"], message));
}

/// Why nothing can listen there. Whether this machine has the address, and the port is free, shows when it listens.
fn no_address(listen: &str) -> Option<String> {
    let is_named = |(host, port): (&str, &str)| {
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
        is_port && is_host_name(host)
    };
    if listen.parse::<SocketAddr>().is_ok() || listen.rsplit_once(':').is_some_and(is_named) {
        return None;
    }
    Some(format!(
        "`{}` is no address: write host:port, such as 127.0.0.1:7171, or 0.0.0.0:7171 to be reached from elsewhere",
        listen.escape_debug()
    ))
}

/// A name, not an address: those are digits and dots alone.
fn is_host_name(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        && host.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Names of capabilities as they look when nobody minds case, `-` and `_`.
pub(super) fn alike(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

/// Configured capabilities that differ in case, `-` and `_` only: it is likely that one is meant.
pub(super) fn twins(settings: &Settings) -> Vec<String> {
    let mut by_looks: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in settings.capabilities.keys() {
        by_looks.entry(alike(name)).or_default().push(name);
    }
    let twins = by_looks.into_values().filter(|names| names.len() > 1);
    twins
        .map(|names| {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("capabilities: {} differ in case, `-` and `_` only: is one meant?", names.join(" and "))
        })
        .collect()
}

//! Named places at which a test can end the process, hold it, or tell it to end; in a build without the feature
//! `failpoints`, which only the end-to-end tests ask for, there is none of them.
//!
//! The variable `FAILPOINTS` says what is to happen: `NAME=ACTION` or `NAME=ACTION@N`, at the N-th time the place is
//! reached, several divided by `;`. The actions are
//!
//! | action | does |
//! |---|---|
//! | `abort` | ends the process as a crash does |
//! | `terminate` | sends the process SIGTERM |
//! | `hold:FILE` | makes FILE, and goes on when somebody has deleted it |
//! | a number | is read by [`number`], in place of the number the program has |
//! | `file:FILE` | the same, of the number that FILE has whenever it is asked for |

/// Every place, in the order in which a server comes to them.
pub const PLACES: &[&str] = &[
    "open.locked",
    "open.created",
    "open.configured",
    "migration.applied",
    "migration.committed",
    "identity.swept",
    "identity.rebuilt",
    "key.written",
    "key.renamed",
    "keeper.taken",
    "store.begun",
    "store.inserted",
    "store.refused",
    "store.committed",
    "identity.written",
    "identity.renamed",
    "identity.synced",
    "identity.registered",
    "identity.deleted",
    "keeper.committed",
    "keeper.applied",
    "keeper.acked",
    "retention.dropped",
    "retention.committed",
    "backup.begun",
    "backup.copied",
    "backup.verified",
    "restore.copied",
    "restore.kept",
    "put.synced",
    "put.renamed",
];

#[cfg(not(feature = "failpoints"))]
mod inert {
    /// Nothing happens here.
    #[inline]
    pub fn reach(_: &'static str) {}

    /// The number stays what it is.
    #[inline]
    pub fn number(_: &'static str) -> Option<i64> {
        None
    }
}

#[cfg(not(feature = "failpoints"))]
pub use inert::{number, reach};

#[cfg(feature = "failpoints")]
mod live {
    use std::collections::HashMap;
    use std::path::PathBuf;
    use std::process::Command;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::time::Duration;

    static SET: LazyLock<HashMap<String, Set>> = LazyLock::new(|| {
        let said = std::env::var("FAILPOINTS").unwrap_or_default();
        said.split(';')
            .filter_map(|one| one.split_once('='))
            .map(|(name, what)| (name.to_owned(), Set::of(what)))
            .collect()
    });

    struct Set {
        action: String,
        at: Option<u64>,
        reached: AtomicU64,
    }

    impl Set {
        fn of(what: &str) -> Self {
            let (action, at) = match what.rsplit_once('@') {
                Some((action, at)) => (action, at.parse().ok()),
                None => (what, None),
            };
            Self { action: action.to_owned(), at, reached: AtomicU64::new(0) }
        }
    }

    /// Does what `FAILPOINTS` says of this place.
    pub fn reach(name: &'static str) {
        debug_assert!(super::PLACES.contains(&name), "{name} is not in the list of places");
        let Some(set) = SET.get(name) else { return };
        let reached = set.reached.fetch_add(1, SeqCst) + 1;
        if set.at.is_none_or(|at| at == reached) {
            act(name, &set.action);
        }
    }

    fn act(name: &str, action: &str) {
        eprintln!("failpoint {name}: {action}");
        match action.split_once(':') {
            None if action == "abort" => std::process::abort(),
            None if action == "terminate" => {
                let kill = format!("kill -TERM {}", std::process::id());
                // Whoever waits for the end notices if this did not work.
                let _ = Command::new("sh").args(["-c", &kill]).status();
            }
            Some(("hold", file)) => hold(&PathBuf::from(file)),
            _ => eprintln!("failpoint {name}: no such action"),
        }
    }

    fn hold(file: &std::path::Path) {
        if std::fs::write(file, "").is_err() {
            eprintln!("failpoint: {} cannot be made", file.display());
        }
        while file.exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The number that `FAILPOINTS` has under this name.
    pub fn number(name: &'static str) -> Option<i64> {
        let said = &SET.get(name)?.action;
        match said.strip_prefix("file:") {
            Some(file) => std::fs::read_to_string(file).ok()?.trim().parse().ok(),
            None => said.parse().ok(),
        }
    }
}

#[cfg(feature = "failpoints")]
pub use live::{number, reach};

//! What is logged: `MILEPOST_LOG`.

use tracing_subscriber::EnvFilter;

/// The variable.
pub(crate) const LOG: &str = "MILEPOST_LOG";

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Reads what `MILEPOST_LOG` says.
///
/// A word that is no level would be taken for the name of a module, of which there is none: nothing would be logged.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let is_module = |word: &str| word.contains(['=', '[', ':']) || word.starts_with("milepost");
    let wrong = |why: &str| {
        format!(
            "{why}: write error, warn, info or debug, or one for each module, such as warn,milepost=debug"
        )
    };
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    for word in words {
        if !is_level(word) && !is_module(word) {
            return Err(wrong(&format!("`{}` is no level", word.escape_debug())));
        }
    }
    EnvFilter::builder().parse(text).map_err(|error| wrong(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_modules_are_told_from_slips() {
        for good in ["", "info", "WARN", "warn,milepost=debug", "milepost", "hyper::proto=info", "off"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["debgu", "milepost=loud", "info;warn", "verbose"] {
            assert!(filter(bad).is_err_and(|message| message.contains("write error, warn")), "{bad}");
        }
    }
}

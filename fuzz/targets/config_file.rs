//! A configuration file, then after a line of `---` variables, one a line.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use milepost::config::{self, Flags, Settings};
use milepost_fuzz::in_scratch;

fn settings(toml: &str, variables: &[(String, String)]) -> Result<Settings, String> {
    in_scratch(|scratch| {
        let file = scratch.join("milepost.toml");
        fs::write(&file, toml).expect("the scratch takes a file");
        let read = config::read(Some(&file), variables.to_vec(), Flags::default());
        let checked = config::check(Some(&file), variables.to_vec(), Flags::default());
        match (read, checked) {
            (Ok((settings, _)), Ok((checked, _))) => {
                assert_eq!(settings, checked);
                Ok(settings)
            }
            // A variable that names no setting is a mistake to whoever checks.
            (Ok((settings, _)), Err(_)) => Ok(settings),
            (Err(error), Err(checked)) => {
                assert!(!error.to_string().is_empty() && !checked.to_string().is_empty());
                Err(error.to_string())
            }
            (Err(error), Ok(_)) => panic!("a check finds nothing wrong where there is: {error}"),
        }
    })
}

fuzz_target!(|data: &str| {
    let (toml, rest) = data.split_once("\n---\n").unwrap_or((data, ""));
    let variables: Vec<(String, String)> = rest
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let Ok(mut read) = settings(toml, &variables) else { return };
    let digest = read.metrics().digest();
    // A key is never written.
    read.privacy.key = None;
    // A variable can say a number that TOML has no room for.
    let Ok(written) = toml::to_string(&read) else { return };
    let again = settings(&written, &[]).expect("what was written can be read");
    assert_eq!(again, read, "settings read back");
    assert_eq!(again.metrics().digest(), digest);
});

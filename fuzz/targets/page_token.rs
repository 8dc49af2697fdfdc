//! Tokens of pages, made up or given out and then changed: one that is taken is one that was given out. The first line is
//! a question, the second a made-up token, and what follows damages one that was given out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use milepost::answers::{self, Ask, AskError, Explained, PageRequest};
use milepost::engine::Engine;
use milepost_fuzz::damage::damage;
use milepost_fuzz::{first_line, installation};

const QUESTIONS: [(&str, &[(&str, &str)]); 3] =
    [("market_share", &[]), ("market_share", &[("as_of", "2020-01-01")]), ("time_to_first_deploy", &[])];

fn page(engine: &Engine, ask: &Ask, token: &str) -> Result<Explained, AskError> {
    answers::explain(engine, ask, &PageRequest { size: 3, token: token.to_owned() })
}

/// Tries a token; whatever it is, it leads to a page of this explanation or is refused.
fn attempt(engine: &Engine, ask: &Ask, token: &str) {
    match page(engine, ask, token) {
        Err(error) => assert_eq!(error.field(), Some("page_token"), "{error}"),
        Ok(page) => {
            assert!(page.units.len() <= 3);
            let given_out = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            assert!(token.bytes().all(given_out), "`{token}` was never given out");
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let engine = installation::engine();
    let (question, rest) = first_line(data);
    let (made_up, orders) = first_line(rest);
    let number = usize::from(question.first().copied().unwrap_or_default().wrapping_sub(b'0'));
    let (metric, parameters) = QUESTIONS[number % QUESTIONS.len()];
    let parameters: Vec<_> =
        parameters.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let ask = Ask::read(metric, &parameters, engine.now()).expect("a question");
    let first = page(&engine, &ask, "").expect("a first page");
    if let Ok(made_up) = std::str::from_utf8(made_up) {
        attempt(&engine, &ask, made_up);
    }
    let mut changed = first.next_page_token.clone().into_bytes();
    assert!(!changed.is_empty() || first.units.len() == first.total_units);
    damage(&mut changed, orders);
    if let Ok(changed) = String::from_utf8(changed) {
        attempt(&engine, &ask, &changed);
    }
});

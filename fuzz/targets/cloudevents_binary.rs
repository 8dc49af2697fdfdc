//! A CloudEvent in binary mode: a line for each attribute, an empty line, the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use milepost_fuzz::{first_line, hold_laws_of_event};
use milepost_wire::{cdevents, cloudevents};

fuzz_target!(|data: &[u8]| {
    let mut headers = Vec::new();
    let mut rest = data;
    loop {
        let (line, behind) = first_line(rest);
        rest = behind;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let Ok(name) = std::str::from_utf8(&line[..colon]) else { continue };
        headers.push((name, line.get(colon + 1..).unwrap_or_default()));
    }
    if let Ok(event) = cloudevents::decode_binary(cloudevents::Binding::Http, headers, rest) {
        assert_eq!(cdevents::decode(rest).as_ref(), Ok(&event), "the envelope says nothing of its own");
        hold_laws_of_event(&event);
    }
});

//! The file of tokens: whatever is in one that can be read stays when a token is added, and is all there is when that one
//! is taken away again.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use milepost::guard::{Scope, Tokens};
use milepost_fuzz::{in_scratch, now};

const NAME: &str = "added-by-the-fuzzer";

fuzz_target!(|data: &[u8]| {
    in_scratch(|scratch| {
        let file = scratch.join("tokens.toml");
        fs::write(&file, data).expect("the scratch takes a file");
        let Ok(before) = Tokens::read(&file) else { return };
        if before.all().iter().any(|token| token.name == NAME) {
            return;
        }
        let times = (now(), None);
        let secret = Tokens::create(&file, NAME, vec![Scope::Write], vec!["/ci/*".to_owned()], times)
            .expect("a token can be added");
        let with = Tokens::read(&file).expect("what was written can be read");
        assert_eq!(&with.all()[..before.all().len()], before.all());
        assert_eq!(with.find(secret.text()).map(|token| token.name.as_str()), Some(NAME));
        Tokens::revoke(&file, NAME).expect("it can be taken away");
        assert_eq!(Tokens::read(&file).expect("what was written can be read"), before);
    });
});

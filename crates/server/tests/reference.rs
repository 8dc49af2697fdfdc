//! The committed reference page is the one the registry gives.

use std::path::Path;

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let up_to_date = committed == milepost::reference::reference();
    assert!(up_to_date, "docs/metrics.md differs from the registry; write it anew: cargo xtask docs");
}

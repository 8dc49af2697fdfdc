//! The real history that Milepost ships with, as often as wanted.

use std::io::Read as _;

/// Lines of CDEvents, `copies` times over: the same but for the id, so that all of them are new.
pub fn of_real_history(copies: u64) -> Vec<String> {
    let packed = include_bytes!("../../crates/server/data/helm-charts.ndjson.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("a text");
    let lines: Vec<(&str, &str)> = text.lines().map(around_end_of_id).collect();
    let copy = |number| lines.iter().map(move |(before, after)| format!("{before}-copy-{number}{after}"));
    (0..copies).flat_map(copy).collect()
}

/// A line cut where the id of its context ends.
fn around_end_of_id(line: &str) -> (&str, &str) {
    let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let id = event["context"]["id"].as_str().expect("an id");
    let context = line.find("\"context\"").expect("a context");
    let quoted = format!("\"{id}\"");
    line.split_at(context + line[context..].find(&quoted).expect("its id") + quoted.len() - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn copies_differ_in_their_ids_alone() {
        let lines = of_real_history(2);
        let read = |line: &String| serde_json::from_str::<serde_json::Value>(line).expect("JSON");
        let mut events: Vec<_> = lines.iter().map(read).collect();
        let id =
            |event: &serde_json::Value| format!("{} {}", event["context"]["source"], event["context"]["id"]);
        assert_eq!(events.iter().map(id).collect::<BTreeSet<_>>().len(), lines.len());
        for event in &mut events {
            event["context"]["id"] = serde_json::Value::Null;
        }
        let (first, second) = events.split_at(lines.len() / 2);
        assert_eq!(first, second);
    }
}

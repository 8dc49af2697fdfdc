use proptest::prelude::*;

use super::*;

/// What a scraper reads of a line.
type Read = (String, Vec<(String, String)>, f64);

/// Reads samples and the families they are of; panics at what no scraper takes.
fn parse(text: &str, dialect: Dialect) -> Vec<Read> {
    let mut lines: Vec<&str> = text.lines().collect();
    if dialect == Dialect::OpenMetrics {
        assert_eq!(lines.pop(), Some("# EOF"));
    }
    let mut family = "";
    let mut samples = Vec::new();
    for line in lines {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert_eq!(kind.split(' ').next(), Some(family), "HELP and TYPE are of the same family");
        } else {
            let sample = sample(line);
            assert!(sample.0.starts_with(family), "{line} stands under {family}");
            samples.push(sample);
        }
    }
    samples
}

fn sample(line: &str) -> Read {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':'), "{name}");
    assert!(!name.as_bytes()[0].is_ascii_digit());
    let mut labels = Vec::new();
    while rest.starts_with(['{', ',']) {
        let (label, value) = rest[1..].split_once("=\"").unwrap();
        let (value, after) = unescape(value);
        labels.push((label.to_owned(), value));
        rest = after;
    }
    let value = rest.trim_start_matches('}').trim();
    (name.to_owned(), labels, if value == "+Inf" { f64::INFINITY } else { value.parse().unwrap() })
}

/// The text up to the closing quote, and what follows it.
fn unescape(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().unwrap().1 {
                'n' => '\n',
                other => other,
            }),
            '\n' => panic!("a line ends inside a label"),
            _ => value.push(c),
        }
    }
    panic!("no closing quote in {text}");
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        (0..1u64 << 53).prop_map(Number::Count),
        (-1e18..1e18).prop_map(Number::Real),
        Just(Number::Real(f64::INFINITY)),
    ]
}

fn as_f64(number: Number) -> f64 {
    match number {
        Number::Count(count) => count as f64,
        Number::Real(real) => real,
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        name in "milepost_[a-z][a-z_]{0,20}",
        help in "[ -~\n\"\\\\äö]{0,40}",
        counter in any::<bool>(),
        open_metrics in any::<bool>(),
        samples in prop::collection::vec((prop::collection::vec(any::<String>(), 0..3), number()), 0..5),
    ) {
        let mut family =
            if counter { Family::counter(&name, help) } else { Family::gauge(&name, help) };
        let mut expected = Vec::new();
        for (values, number) in samples {
            let labels: Vec<_> = ["capability", "state", "q"].into_iter().zip(values).collect();
            let sample = if counter { format!("{name}_total") } else { name.clone() };
            let read = labels.iter().map(|(label, value)| ((*label).to_owned(), value.clone())).collect();
            expected.push((sample, read, as_f64(number)));
            family.push(labels, number);
        }
        let dialect = if open_metrics { Dialect::OpenMetrics } else { Dialect::Text };
        let text = write(&[family], dialect);
        prop_assert_eq!(parse(&text, dialect), expected);
    }
}

#[test]
fn a_counter_is_named_as_each_format_wants_it() {
    let family = [Family::counter("milepost_events", "Events \"received\".\nAll.")
        .with(vec![("door", "a\"b\\c\nd".to_owned())], Number::Count(u64::MAX))];
    assert_eq!(
        write(&family, Dialect::Text),
        "# HELP milepost_events_total Events \"received\".\\nAll.\n\
         # TYPE milepost_events_total counter\n\
         milepost_events_total{door=\"a\\\"b\\\\c\\nd\"} 18446744073709551615\n"
    );
    assert_eq!(
        write(&family, Dialect::OpenMetrics),
        "# HELP milepost_events Events \\\"received\\\".\\nAll.\n\
         # TYPE milepost_events counter\n\
         milepost_events_total{door=\"a\\\"b\\\\c\\nd\"} 18446744073709551615\n\
         # EOF\n"
    );
}

#[test]
fn a_histogram_adds_up() {
    let counts = HistogramCounts { cumulative: vec![(0.5, 2), (1.0, 3)], count: 4, sum: 5.25 };
    let text = write(&[Family::histogram("milepost_x_seconds", "X.").with_histogram(&counts)], Dialect::Text);
    assert_eq!(
        text,
        "# HELP milepost_x_seconds X.\n# TYPE milepost_x_seconds histogram\n\
         milepost_x_seconds_bucket{le=\"0.5\"} 2\nmilepost_x_seconds_bucket{le=\"1.0\"} 3\n\
         milepost_x_seconds_bucket{le=\"+Inf\"} 4\nmilepost_x_seconds_sum 5.25\nmilepost_x_seconds_count 4\n"
    );
}

#[test]
fn a_family_without_samples_is_not_written() {
    assert_eq!(write(&[Family::gauge("milepost_nps", "NPS.")], Dialect::Text), "");
}

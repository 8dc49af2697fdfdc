use super::*;
use crate::cli::shown;

fn read(json: &str) -> Vec<Shown> {
    shown::answers(json).unwrap()
}

#[test]
fn a_sparkline_goes_from_the_smallest_to_the_largest_with_gaps() {
    let values = [Some(0.0), None, Some(0.5), Some(1.0), None];
    assert_eq!(sparkline(&values, 10), "▁ ▅█ ");
    assert_eq!(sparkline(&[Some(3.0), Some(3.0)], 10), "▁▁", "nothing rises where nothing moves");
    assert_eq!(sparkline(&[None, None], 10), "  ");
    assert_eq!(sparkline(&[], 10), "");
}

#[test]
fn a_long_series_is_thinned_out_to_the_last_value_of_each_mark() {
    let values: Vec<_> = (0..100).map(|value| Some(f64::from(value))).collect();
    let line = sparkline(&values, 8);
    assert_eq!(line.chars().count(), 8);
    assert_eq!(line.chars().last(), Some('█'));
    let gaps = [Some(1.0), None, None, None, Some(2.0), None];
    assert_eq!(sparkline(&gaps, 3), "▁ █", "a mark is empty only if all it stands for is");
}

#[test]
fn numbers_are_read_as_their_kind() {
    for (shape, value, shown) in [
        (Shape::Ratio, 0.1234, "12.3 %"),
        (Shape::Score, 12.0, "+12.0"),
        (Shape::Score, -3.25, "-3.2"),
        (Shape::Number, 1.5, "1.50"),
        (Shape::Durations, 0.0, "0s"),
        (Shape::Durations, 59.0, "59s"),
        (Shape::Durations, 61.0, "1m 1s"),
        (Shape::Durations, 7_200.0, "2h"),
        (Shape::Durations, 538_981.0, "6d 5h"),
        (Shape::Durations, 2_710_858.0, "31d"),
    ] {
        assert_eq!(number(shape, value), shown);
    }
}

#[test]
fn a_moment_shows_value_interval_counts_and_notes() {
    let table = moment(&read(
        r#"[{"metric":"keep_rate","labels":{"capability":"ci"},"as_of":"2026-01-01","value":0.5,"numerator":1,
             "denominator":2,"low":0.1,"high":0.9,"counts":{"pending":3,"retired":0},"notes":["mandated"]},
            {"metric":"keep_rate","labels":{"capability":"docs"},"as_of":"2026-01-01","value":null,"numerator":0,
             "denominator":0,"low":null,"high":null,"counts":{"pending":0,"retired":0}}]"#,
    ));
    let lines: Vec<_> =
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(lines.contains(&"capability value 95 % interval of counts notes".to_owned()), "{table}");
    assert!(lines.contains(&"ci 50.0 % 10.0 % … 90.0 % 1/2 pending 3 mandated".to_owned()), "{table}");
    assert!(lines.contains(&"docs – – 0/0 –".to_owned()), "{table}");
}

#[test]
fn columns_that_say_nothing_are_left_out() {
    let table = moment(&read(
        r#"[{"metric":"nps","labels":{},"as_of":"2026-01-01","value":-20.0,"low":null,"high":null,"counts":{"passives":2}}]"#,
    ));
    assert!(!table.contains("notes") && !table.contains("capability"), "{table}");
    assert!(table.contains("-20.0") && table.contains("passives 2"), "{table}");
}

#[test]
fn a_range_has_one_line_for_each_series_and_all_stand_for_the_same_days() {
    let answers = read(
        r#"[{"metric":"m","labels":{"team":"a"},"as_of":"2026-01-01","quantiles":{"0.5":60,"0.9":120},"counts":{}},
            {"metric":"m","labels":{"team":"a"},"as_of":"2026-01-02","quantiles":{"0.5":120,"0.9":null},"counts":{}},
            {"metric":"m","labels":{"team":"b"},"as_of":"2026-01-02","quantiles":{"0.5":60,"0.9":60},"counts":{}}]"#,
    );
    let days = ["2026-01-01", "2026-01-02", "2026-01-03"].map(str::to_owned);
    let series = series(&days, &answers);
    let names: Vec<_> =
        series.iter().map(|s| (s.labels["team"].as_str(), s.name.as_str(), s.values.clone())).collect();
    assert_eq!(
        names,
        [
            ("a", "median", vec![Some(60.0), Some(120.0), None]),
            ("a", "q 0.9", vec![Some(120.0), None, None]),
            ("b", "median", vec![None, Some(60.0), None]),
            ("b", "q 0.9", vec![None, Some(60.0), None]),
        ]
    );
    let table = range(&days, &answers);
    assert!(table.contains("▁█") && table.contains("1m") && table.contains("2m"), "{table}");
}

#[test]
fn a_name_cannot_command_the_terminal() {
    let table = drawn(&[Column::text("team")], [vec!["\u{1b}[2Jx".to_owned()]].into_iter());
    assert!(!table.contains('\u{1b}'), "{table:?}");
}

use std::collections::BTreeMap;

use super::*;

/// A series that has these values at the ends of months and none at the others.
fn series(shape: Shape, values: &[(&str, f64)]) -> Series {
    let months = history::months();
    let at = |month: &String| values.iter().find(|(day, _)| day == month).map(|(_, value)| *value);
    Series { labels: BTreeMap::new(), name: String::new(), shape, values: months.iter().map(at).collect() }
}

fn found(series: Vec<Series>) -> Vec<String> {
    let spec = milepost_model::metrics::registry()[0].spec();
    findings(&Chapter { spec, series }, &history::months())
}

#[test]
fn months_end_where_they_do() {
    let months = history::months();
    assert_eq!(months.len(), 60);
    assert_eq!(
        (months[0].as_str(), months[1].as_str(), months[59].as_str()),
        ("2016-01-31", "2016-02-29", "2020-12-31")
    );
    assert!(history::DAYS.iter().all(|(day, _)| months.iter().any(|month| month == day)));
}

#[test]
fn the_largest_rise_and_the_largest_fall_are_told() {
    let values = [
        ("2016-12-31", 0.1),
        ("2017-12-31", 0.2),
        ("2018-12-31", 0.9),
        ("2019-12-31", 0.8),
        ("2020-12-31", 0.5),
    ];
    assert_eq!(
        found(vec![series(Shape::Ratio, &values)]),
        [
            "  - market_share: rose from 20.0 % (2017-12-31) to 90.0 % (2018-12-31)\n",
            "  - market_share: fell from 80.0 % (2019-12-31) to 50.0 % (2020-12-31)\n",
        ]
    );
}

#[test]
fn lengths_of_time_are_compared_by_their_factor() {
    let values = [("2016-12-31", 864_000.0), ("2017-12-31", 8_640_000.0), ("2018-12-31", 60.0)];
    assert_eq!(
        found(vec![series(Shape::Durations, &values)]),
        [
            "  - market_share: rose from 10d (2016-12-31) to 100d (2017-12-31)\n",
            "  - market_share: fell from 100d (2017-12-31) to 1m (2018-12-31)\n",
        ]
    );
}

#[test]
fn what_came_and_went_between_the_days_of_the_table_is_told() {
    let values = [("2017-12-31", 0.02), ("2018-05-31", 0.4), ("2018-12-31", 0.03)];
    assert_eq!(
        found(vec![series(Shape::Ratio, &values)]),
        [
            "  - market_share: from 2.0 % (2017-12-31) up to 40.0 % (2018-05-31), and down to 3.0 % (2018-12-31)\n"
        ]
    );
}

#[test]
fn what_hardly_moves_is_not_told() {
    assert!(found(vec![series(Shape::Ratio, &[("2017-12-31", 0.5), ("2018-12-31", 0.52)])]).is_empty());
    assert!(found(vec![series(Shape::Score, &[("2017-12-31", 10.0)])]).is_empty());
    assert!(found(Vec::new()).is_empty());
}

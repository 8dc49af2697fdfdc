//! Quantiles of durations of which some are known only to be longer.

use crate::question::Estimator;

/// Equality of survival and 1−q within this counts.
const TOLERANCE: f64 = 1e-12;

/// A duration in whole seconds, and whether it ended then or was only seen for that long.
pub(super) type Span = (u64, bool);

/// The `q`-quantile, in whole seconds; `None` where the curve has not come down that far.
pub(super) fn quantile(spans: &mut [Span], q: f64, estimator: Estimator) -> Option<u64> {
    match estimator {
        Estimator::KaplanMeier => kaplan_meier(spans, q),
        Estimator::Observed => observed(spans, q),
    }
}

/// The smallest t with S(t) ≤ 1−q; at equal times events come before censorings.
fn kaplan_meier(spans: &mut [Span], q: f64) -> Option<u64> {
    spans.sort_unstable_by_key(|(seconds, ended)| (*seconds, !ended));
    let mut survival = 1.0;
    let mut at_risk = spans.len();
    for same in spans.chunk_by(|a, b| a.0 == b.0) {
        let ended = same.iter().filter(|(_, ended)| *ended).count();
        if ended > 0 {
            survival *= (at_risk - ended) as f64 / at_risk as f64;
            if survival <= 1.0 - q + TOLERANCE {
                return Some(same[0].0);
            }
        }
        at_risk -= same.len();
    }
    None
}

/// The value at rank ⌈q·n⌉ of those that ended.
fn observed(spans: &[Span], q: f64) -> Option<u64> {
    let mut ended: Vec<u64> = spans.iter().filter(|(_, ended)| *ended).map(|(seconds, _)| *seconds).collect();
    ended.sort_unstable();
    let rank = (q * ended.len() as f64 - TOLERANCE).ceil().max(1.0) as usize;
    ended.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn km(spans: &[Span], q: f64) -> Option<u64> {
        kaplan_meier(&mut spans.to_vec(), q)
    }

    #[test]
    fn without_censoring_it_is_the_plain_quantile() {
        let spans: Vec<Span> = (1..=10).map(|n| (n, true)).collect();
        assert_eq!(km(&spans, 0.5), Some(5));
        assert_eq!(km(&spans, 0.9), Some(9));
        assert_eq!(observed(&spans, 0.5), Some(5));
        assert_eq!(observed(&spans, 0.9), Some(9));
    }

    #[test]
    fn the_censored_push_it_up_until_the_curve_stays_too_high() {
        assert_eq!(km(&[(1, true), (2, false), (3, true), (4, false)], 0.5), Some(3));
        assert_eq!(km(&[(1, true), (2, false), (3, false)], 0.5), None);
        assert_eq!(km(&[(0, true)], 0.5), Some(0));
        assert_eq!(km(&[], 0.5), None);
        // At equal times events come first: the censored one is still at risk.
        assert_eq!(km(&[(5, false), (5, true)], 0.5), Some(5));
    }
}

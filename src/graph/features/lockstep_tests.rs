//! The tree and the comparison of each with each count the same.

use super::{DAY, InTime};
use crate::graph::base::Base;
use crate::graph::network::Builder;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_tree_counts_what_comparing_each_with_each_counts(
        members in prop::collection::vec((0..400_000_u32, prop::option::weighted(0.9, 1.0..200.0_f64)), 1..60),
    ) {
        let mut builder = Builder::new();
        builder.columns(["spend_minor"]);
        for (place, &(joined, spend)) in members.iter().enumerate() {
            builder.member(&place.to_string(), Some(joined), &[spend.unwrap_or(f64::NAN)]).unwrap();
        }
        let base = Base::of(&builder.build());
        let mut set = InTime::default();
        set.fill(0..members.len(), &base);
        let near = |a: usize, b: usize| (base.first[a] - base.first[b]).abs() < DAY;
        let same = |a: usize, b: usize| near(a, b) && (base.spend[a] - base.spend[b]).abs() < super::SAME_SPEND;
        let count = |row: usize, is: &dyn Fn(usize, usize) -> bool| {
            u32::try_from((0..members.len()).filter(|&other| other != row && is(row, other)).count()).unwrap()
        };
        for (row, others) in set.lockstep_by_tree(&base, DAY) {
            prop_assert_eq!(others, count(row, &same));
        }
        for (row, others) in set.lockstep(&base, DAY) {
            prop_assert_eq!(others, count(row, &same));
        }
        for (row, others) in set.near(DAY) {
            prop_assert_eq!(others, count(row, &near));
        }
    }
}

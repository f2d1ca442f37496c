//! Pairs of a query and a key: what the fold counts is what a mask leaves, counted one by one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use llmplan_analysis::folds::{Sequence, pairs};
use llmplan_spec::plan::{AttentionConvention, Documents, Reach};
use proptest::prelude::*;

/// The documents of a sequence, as ranges of positions.
fn ranges(tokens: u64, documents: Option<&Documents>) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut lengths = match documents {
        None => vec![tokens],
        Some(Documents::Listed(lengths)) => lengths.clone(),
        Some(Documents::Alike(length)) => vec![*length; usize::try_from(tokens / length).unwrap() + 1],
    }
    .into_iter();
    while start < tokens {
        let end = (start + lengths.next().unwrap()).min(tokens);
        found.push((start, end));
        start = end;
    }
    found
}

/// The pairs, looked at one by one: a query meets a key of its document that is in reach and not ahead.
fn causal(reach: Reach, tokens: u64, documents: Option<&Documents>) -> u128 {
    let mut count = 0;
    for (start, end) in ranges(tokens, documents) {
        for query in start..end {
            for key in start..=query {
                let seen = match reach {
                    Reach::Full => true,
                    Reach::Window(window) => query - key < window,
                    Reach::Chunk(chunk) => (query - start) / chunk == (key - start) / chunk,
                };
                count += u128::from(seen);
            }
        }
    }
    count
}

/// The same without the discount for what is ahead: a window is as wide for every query, a chunk is a square.
fn full(reach: Reach, tokens: u64, documents: Option<&Documents>) -> u128 {
    let mut count = 0;
    for (start, end) in ranges(tokens, documents) {
        let length = end - start;
        for query in 0..length {
            count += u128::from(match reach {
                Reach::Full => length,
                Reach::Window(window) => window.min(length),
                Reach::Chunk(chunk) => {
                    let first = query / chunk * chunk;
                    (first + chunk).min(length) - first
                }
            });
        }
    }
    count
}

fn reach() -> impl Strategy<Value = Reach> {
    prop_oneof![Just(Reach::Full), (1_u64..40).prop_map(Reach::Window), (1_u64..40).prop_map(Reach::Chunk),]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pairs_are_what_the_mask_leaves(reach in reach(), lengths in proptest::collection::vec(1_u64..30, 1..5), kind in 0_u8..3) {
        let tokens: u64 = lengths.iter().sum();
        let documents = match kind {
            0 => None,
            1 => Some(Documents::Listed(lengths.clone())),
            _ => Some(Documents::Alike(lengths[0])),
        };
        let count = |attention| pairs(reach, Sequence { tokens, documents: documents.as_ref(), attention }).unwrap();
        prop_assert_eq!(count(AttentionConvention::Causal), causal(reach, tokens, documents.as_ref()));
        prop_assert_eq!(count(AttentionConvention::Full), full(reach, tokens, documents.as_ref()));
    }
}

#[test]
fn a_window_as_long_as_the_sequence_is_none() {
    for attention in [AttentionConvention::Full, AttentionConvention::Causal] {
        let sequence = Sequence { tokens: 1000, documents: None, attention };
        let whole = pairs(Reach::Full, sequence);
        assert_eq!(pairs(Reach::Window(1000), sequence), whole);
        assert_eq!(pairs(Reach::Window(u64::MAX), sequence), whole);
        assert_eq!(pairs(Reach::Chunk(1000), sequence), whole);
        assert_eq!(pairs(Reach::Chunk(u64::MAX), sequence), whole);
    }
}

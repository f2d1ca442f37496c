//! Who sees whom: the future is hidden, and the past is seen as far as a layer reaches.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod models;

use llmplan_analysis::graph::lower;
use llmplan_exec::run;
use llmplan_spec::plan::{
    Attention, AttentionConvention, Documents, FeedForward, FfnKind, Mixer, Model, Position, Reach,
};
use models::{TOLD, apart, attends, attention, attentions, causal, dense, logits, moe, rows, small};

/// Which tokens' logits change with token `at`.
fn changed(model: &Model, at: usize) -> Vec<bool> {
    let tokens = [3, 1, 4, 1, 5, 9, 2];
    let mut other = tokens;
    other[at] = 17;
    let (one, other) = (logits(model, &tokens), logits(model, &other));
    one.iter().zip(&other).map(|(one, other)| one != other).collect()
}

#[test]
fn a_token_does_not_see_the_future_and_sees_the_past() {
    let feeds = [dense(FfnKind::Gelu), FeedForward::Moe(moe()), FeedForward::None];
    for (at, mixer) in models::mixers().into_iter().enumerate() {
        let model = small(1, mixer.clone(), feeds[at % feeds.len()].clone());
        let reach = match &mixer {
            Mixer::Attention(own) => own.reach,
            _ => Reach::Full,
        };
        for token in 0..7 {
            let expected: Vec<bool> = (0..7)
                .map(|query| match (&mixer, reach) {
                    (Mixer::None, _) => query == token,
                    (_, Reach::Full) => query >= token,
                    (_, Reach::Window(window)) => query >= token && ((query - token) as u64) < window,
                    (_, Reach::Chunk(chunk)) => {
                        query >= token && query as u64 / chunk == token as u64 / chunk
                    }
                })
                .collect();
            assert_eq!(changed(&model, token), expected, "token {token} of {model:?}");
        }
    }
}

/// Two layers of a window see two windows, which overlap in a token.
#[test]
fn windows_add_up() {
    let model = attends(2, Attention { reach: Reach::Window(3), ..attention() });
    assert_eq!(changed(&model, 1), [false, true, true, true, true, true, false]);
}

/// Documents do not see each other. Where only distances matter, each is as if it were alone; and so is a chunk.
#[test]
fn documents_and_chunks_are_apart() {
    let tokens = [3, 1, 4, 1, 5, 9, 2];
    let lengths = Documents::Listed(vec![3, 4]);
    for own in attentions() {
        let model = attends(2, own.clone());
        for convention in [AttentionConvention::Full, AttentionConvention::Causal] {
            let both = |tokens: &[usize]| {
                let sequence = models::sequence(tokens.len(), convention, Some(&lengths));
                rows(&run(&lower(&model), tokens, sequence).unwrap().logits)
            };
            let (one, other) = (both(&tokens), both(&[8, 8, 8, 1, 5, 9, 2]));
            assert_eq!(one[3..], other[3..], "{own:?}");
            if own.position != Position::Learned {
                let alone = [logits(&model, &tokens[..3]), logits(&model, &tokens[3..])].concat();
                one.iter().zip(&alone).for_each(|(one, alone)| assert!(apart(one, alone) < TOLD, "{own:?}"));
            }
        }
        if own.position != Position::Learned && own.reach == Reach::Full {
            let model = attends(2, Attention { reach: Reach::Chunk(3), ..own.clone() });
            let alone = tokens.chunks(3).flat_map(|chunk| logits(&model, chunk));
            let all = logits(&model, &tokens);
            all.iter().zip(alone).for_each(|(one, alone)| assert!(apart(one, &alone) < TOLD, "{own:?}"));
        }
    }
}

/// Recurrences go on from one document to the next.
#[test]
fn recurrences_do_not_end_with_a_document() {
    for mixer in models::recurrents() {
        let model = small(2, mixer, FeedForward::None);
        let documents = Documents::Alike(2);
        let sequence = models::sequence(5, AttentionConvention::Full, Some(&documents));
        let ended = run(&lower(&model), &[3, 1, 4, 1, 5], sequence).unwrap().logits;
        assert_eq!(ended, causal(&model, &[3, 1, 4, 1, 5]).logits, "{model:?}");
    }
}

/// Without positions a model cannot tell the order of the past; with any kind of them it can, and so can a state.
#[test]
fn positions_tell_the_order() {
    let told = |mixer: Mixer| {
        let model = small(1, mixer, dense(FfnKind::Relu));
        apart(&logits(&model, &[5, 6, 7])[2], &logits(&model, &[6, 5, 7])[2]) > TOLD
    };
    for position in [Position::Learned, Position::Rope, Position::Alibi, Position::Relative] {
        assert!(told(Mixer::Attention(Attention { position, ..attention() })), "{position:?}");
    }
    assert!(!told(Mixer::Attention(Attention { position: Position::None, ..attention() })));
    assert!(told(Mixer::Attention(models::latent(Some(10), true))));
    for mixer in models::recurrents() {
        assert!(told(mixer.clone()), "{mixer:?}");
    }
}

/// A state carries what a convolution of a few tokens has long left behind.
#[test]
fn states_carry_the_past() {
    let tokens: Vec<usize> = (0..16).collect();
    let mut other = tokens.clone();
    other[0] = 30;
    for mixer in models::recurrents() {
        let model = small(1, mixer, FeedForward::None);
        let moved = apart(&logits(&model, &tokens)[15], &logits(&model, &other)[15]);
        assert!(moved > 0.0, "{model:?}");
    }
}

/// Modules learn beside the model: it does not notice them. Each sees one token further than the one before.
#[test]
fn modules_look_ahead_and_leave_the_model_alone() {
    for mixer in [Mixer::Attention(attention()), Mixer::Mamba2(models::mamba2())] {
        let mut model = small(2, mixer, dense(FfnKind::Swiglu));
        let without = causal(&model, &[3, 1, 4, 1, 5, 9]);
        model.mtp = 2;
        let with = causal(&model, &[3, 1, 4, 1, 5, 9]);
        assert_eq!((&without.logits, without.loss), (&with.logits, with.loss));
        let other = causal(&model, &[3, 1, 4, 1, 17, 9]);
        for (at, (one, other)) in with.modules.iter().zip(&other.modules).enumerate() {
            let first = rows(&one.logits).iter().zip(rows(&other.logits)).position(|(a, b)| *a != b);
            assert_eq!(first, Some(4 - 1 - at), "module {at}");
        }
        let tokens = [3, 1, 4, 1, 5, 9];
        for (ahead, module) in (2..).zip(&with.modules) {
            let wrong = rows(&module.logits).into_iter().enumerate().map(|(at, row)| {
                let sum: f32 = row.iter().map(|logit| logit.exp()).sum();
                sum.ln() - row[tokens[(at + ahead) % 6]]
            });
            assert!((wrong.sum::<f32>() / 6.0 - module.loss).abs() < TOLD, "{ahead} ahead");
        }
    }
}

//! Which keys a query meets: what its reach, its document and the convention leave of the sequence.

use std::ops::Range;

use llmplan_analysis::folds::Sequence;
use llmplan_spec::plan::{AttentionConvention, Documents, Reach};

/// The documents of a sequence, and whether the masked half is computed.
pub(crate) struct Sight {
    /// For each token, its document.
    texts: Vec<Range<usize>>,
    masked: bool,
}

/// The keys of one query.
pub(crate) struct Met {
    /// Those whose products are computed.
    pub(crate) computed: Range<usize>,
    /// Those of them that are seen; the others are thrown away.
    pub(crate) seen: Range<usize>,
}

impl Sight {
    /// The documents of `tokens` tokens; `None` where the sequence has another length, or they do not fill it.
    pub(crate) fn of(tokens: usize, sequence: Sequence<'_>) -> Option<Sight> {
        if tokens == 0 || u64::try_from(tokens).ok()? != sequence.tokens {
            return None;
        }
        let mut texts = Vec::with_capacity(tokens);
        let mut lengths = match sequence.documents {
            Some(Documents::Listed(lengths)) => Some(lengths.iter()),
            _ => None,
        };
        while texts.len() < tokens {
            let left = tokens - texts.len();
            let length = match (&mut lengths, sequence.documents) {
                (Some(lengths), _) => {
                    usize::try_from(*lengths.next()?).ok().filter(|length| *length <= left)?
                }
                // The rest of the last one is a document too.
                (None, Some(Documents::Alike(length))) => {
                    usize::try_from(*length).ok().filter(|length| *length > 0)?.min(left)
                }
                (None, _) => tokens,
            };
            let start = texts.len();
            texts.extend((0..length).map(|_| start..start + length));
        }
        let filled = lengths.is_none_or(|mut rest| rest.all(|length| *length == 0));
        filled.then_some(Sight { texts, masked: sequence.attention == AttentionConvention::Full })
    }

    /// Tokens of the sequence.
    pub(crate) fn tokens(&self) -> usize {
        self.texts.len()
    }

    /// The keys that a query meets. By the full convention a window is computed whole: where less than it lies behind
    /// the first queries, it reaches ahead of them, so that each meets as many. `None` for a reach of nothing.
    pub(crate) fn met(&self, query: usize, reach: Reach) -> Option<Met> {
        let text = self.texts.get(query)?.clone();
        let place = query - text.start;
        let (from, to) = match reach {
            Reach::Full => (text.start, text.end),
            Reach::Window(window) => {
                let window = bounded(window, text.len())?;
                let from = text.start + (place + 1).saturating_sub(window);
                (from, from + window)
            }
            Reach::Chunk(chunk) => {
                let chunk = bounded(chunk, text.len())?;
                let from = text.start + place / chunk * chunk;
                (from, text.end.min(from + chunk))
            }
        };
        let seen = from..query + 1;
        Some(Met { computed: if self.masked { from..to } else { seen.clone() }, seen })
    }
}

/// As many tokens, but no more than there are; `None` for none.
fn bounded(tokens: u64, most: usize) -> Option<usize> {
    Some(usize::try_from(tokens).unwrap_or(usize::MAX).min(most)).filter(|tokens| *tokens > 0)
}

//! What the run consumes: sources, their stages, and weights that sum.

use std::collections::BTreeMap;

use super::Builder;
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::{Data, DataSource, DedupScope};
use crate::units::format;

impl Builder<'_> {
    /// The data and its sources.
    pub(super) fn data(&mut self) -> Option<Data> {
        let draft = self.values.draft;
        let mut staged: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
        for path in &draft.stages {
            staged.entry(path.split('.').nth(1).unwrap_or_default()).or_default().push(path);
        }
        let mut sources = Vec::new();
        for name in &draft.sources {
            let own = staged.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
            sources.push(self.source(name, own)?);
        }
        self.weights(&sources);
        Some(Data {
            name: self.part("data"),
            tokens: self.count("data.tokens")?,
            core_price: self.amount("data.core_price"),
            sources,
        })
    }

    /// One source, with the paths of its stages.
    fn source(&mut self, name: &str, staged: &[&String]) -> Option<DataSource> {
        let path = |leaf: &str| format!("data.{name}.{leaf}");
        let prefix = path("");
        let mut stages = Vec::new();
        for stage in staged {
            stages.push((stage[prefix.len()..].to_owned(), self.share(stage)?));
        }
        let bytes_per_token = self.amount(&path("bytes_per_token"));
        let raw_bytes = self.amount(&path("raw_bytes"));
        let source = DataSource {
            name: name.to_owned(),
            raw: self.raw(name, raw_bytes, bytes_per_token)?,
            raw_bytes,
            bytes_per_token,
            stages,
            weight: self.share(&path("weight"))?,
            dedup_scope: self.word(&path("dedup_scope")).and_then(|word| DedupScope::of(&word)),
            max_epochs: self.factor(&path("max_epochs")),
            processing_rate: self.amount(&path("processing_rate")),
            classifier_params: self.count(&path("classifier_params")),
            price: self.amount(&path("price")),
        };
        if source.processing_rate.is_some() && source.bytes_per_token.is_none() {
            self.lacks(&path("processing_rate"), "bytes_per_token", "a rate is in bytes of text");
        }
        // `data.pipeline.cost` is what all sources cost together.
        if name == "pipeline" && source.has_pipeline() {
            let place = self.values.draft.attributes.get(&path("weight")).map(|attribute| attribute.span);
            let title = "`data.pipeline` is what all sources take together";
            self.values.found.push(
                Diagnostic::error(Code::ReservedName, place.unwrap_or(self.values.draft.span), title)
                    .label("a source of this name")
                    .help("choose another name for the source"),
            );
        }
        Some(source)
    }

    /// Tokens before the first stage: as declared, or as many whole ones as the declared bytes have.
    fn raw(&mut self, name: &str, bytes: Option<f64>, each: Option<f64>) -> Option<u64> {
        let (raw, own) = (format!("data.{name}.raw"), format!("data.{name}.raw_bytes"));
        match (self.count(&raw), bytes, each) {
            (Some(tokens), None, _) => Some(tokens),
            (None, Some(bytes), Some(each)) => {
                let tokens = libm::floor(bytes / each);
                // A float holds every whole number up to 2^53; beyond, a token more or less is nothing.
                if (1.0..1e18).contains(&tokens) {
                    return Some(tokens as u64);
                }
                let span = self.values.place(&own).unwrap_or(self.values.draft.span);
                let title = "a source has from 1 to 10^18 tokens";
                self.values.found.push(
                    Diagnostic::error(Code::OutOfRange, span, title)
                        .label(format!("this is {} of them", format::plain(tokens, 4))),
                );
                None
            }
            (Some(_), Some(_), _) => {
                let draft = self.values.draft;
                let span = self.values.place(&own).unwrap_or(draft.span);
                let title = "a source is counted in tokens or in bytes, not in both";
                let mut diagnostic = Diagnostic::error(Code::DuplicateAttribute, span, title);
                if let Some(other) = self.values.place(&raw) {
                    diagnostic = diagnostic.also(other, "tokens here");
                }
                self.values.found.push(diagnostic.help("keep one of `raw` and `raw_bytes`"));
                None
            }
            (None, Some(_), None) => {
                self.lacks(&own, "bytes_per_token", "tokens are bytes over bytes per token");
                None
            }
            (None, None, _) => {
                if self.values.found.is_empty() {
                    let title = format!("`data.{name}` needs `raw`");
                    self.values.found.push(
                        Diagnostic::error(Code::MissingAttribute, self.values.draft.span, title).help(
                            "add `raw = …`: a whole number of tokens, at least 1; or `raw_bytes` and `bytes_per_token`",
                        ),
                    );
                }
                None
            }
        }
    }

    /// An attribute needs another one beside it.
    fn lacks(&mut self, path: &str, other: &str, why: &str) {
        let name = path.rsplit('.').next().unwrap_or(path);
        let span = self.values.place(path).unwrap_or(self.values.draft.span);
        self.values.found.push(
            Diagnostic::error(Code::MissingAttribute, span, format!("`{name}` needs `{other}`"))
                .help(format!("add `{other} = …`: {why}")),
        );
    }

    /// Weights sum to 100%, or an error with the sum.
    fn weights(&mut self, sources: &[DataSource]) {
        let draft = self.values.draft;
        let total: f64 = sources.iter().map(|source| source.weight).sum();
        if !sources.is_empty() && (total - 1.0).abs() > 1e-9 {
            let place = |source: &DataSource| {
                draft.attributes.get(&format!("data.{}.weight", source.name)).map(|attribute| attribute.span)
            };
            let mut places = sources.iter().rev().filter_map(place);
            let span = places.next().unwrap_or(draft.span);
            let percent = format::percent(total);
            let mut diagnostic = Diagnostic::error(
                Code::WeightsDoNotSum,
                span,
                format!("the weights sum to {percent}, not to 100%"),
            );
            // A sum that a person can follow; beyond that the number of terms says enough.
            if sources.len() <= 12 {
                let terms: Vec<String> =
                    sources.iter().map(|source| format::percent(source.weight)).collect();
                diagnostic = diagnostic.note(format!("{} = {percent}", terms.join(" + ")));
                for other in places {
                    diagnostic = diagnostic.also(other, "");
                }
            } else {
                diagnostic = diagnostic.note(format!("{} sources", sources.len()));
            }
            self.values.found.push(diagnostic);
        }
    }
}

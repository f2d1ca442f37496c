//! A scaling law.

use super::{Builder, Typed};
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::{Allocation, Law, LawForm, LawParams, LawRange, LawTask};

impl Builder<'_> {
    /// The law; `None` where it is not whole, which is then among what was found.
    pub(super) fn law(&mut self) -> Option<Law> {
        let form = match self.word("law.form")?.as_str() {
            "allocation" => LawForm::Allocation,
            word => {
                let e = self.factor("law.e");
                let (a, b) = (self.needed("a"), self.needed("b"));
                let (alpha, beta) = (self.needed("alpha"), self.needed("beta"));
                match word {
                    "kaplan" => LawForm::Kaplan { a: a?, b: b?, alpha: alpha?, beta: beta? },
                    _ => {
                        LawForm::Parametric { e: e.unwrap_or(0.0), a: a?, b: b?, alpha: alpha?, beta: beta? }
                    }
                }
            }
        };
        Some(Law {
            name: self.law_name()?,
            form,
            params: LawParams::of(&self.word("law.params")?)?,
            allocation: self.allocation(form)?,
            repeat_tokens: self.factor("law.repeat_tokens")?,
            repeat_params: self.factor("law.repeat_params")?,
            tokenizer: self.text("law.tokenizer"),
            bytes_per_token: self.amount("law.bytes_per_token"),
            range: LawRange {
                params: (self.real_count("law.params_low"), self.real_count("law.params_high")),
                tokens: (self.real_count("law.tokens_low"), self.real_count("law.tokens_high")),
                compute: (self.amount("law.compute_low"), self.amount("law.compute_high")),
            },
            covariance: self.covariance()?,
            source: self.text("law.source").unwrap_or_default(),
            tasks: self.tasks()?,
        })
    }

    /// The law's name; where it is none, that has been told where it stands.
    fn law_name(&mut self) -> Option<String> {
        let name = self.part("law").unwrap_or_default();
        crate::resolve::extras::is_law_name(&name).then_some(name)
    }

    /// N* and D* as declared; they come together, and a law without a loss has nothing else.
    fn allocation(&mut self, form: LawForm) -> Option<Option<Allocation>> {
        let names = ["n_coefficient", "n_exponent", "d_coefficient", "d_exponent"];
        let declared = names.iter().any(|name| self.factor(&format!("law.{name}")).is_some());
        if !declared && form != LawForm::Allocation {
            return Some(None);
        }
        let [n_coefficient, n_exponent, d_coefficient, d_exponent] = names.map(|name| self.needed(name));
        Some(Some(Allocation {
            n_coefficient: n_coefficient?,
            n_exponent: n_exponent?,
            d_coefficient: d_coefficient?,
            d_exponent: d_exponent?,
        }))
    }

    fn covariance(&mut self) -> Option<Option<[f64; 15]>> {
        let path = "law.covariance";
        let Some(Typed::Numbers(numbers)) = self.get(path) else { return Some(None) };
        match <[f64; 15]>::try_from(numbers.as_slice()) {
            Ok(numbers) => Some(Some(numbers)),
            Err(_) => {
                let span = self.values.place(path).unwrap_or(self.values.draft.span);
                let title = "a covariance of five constants has 15 numbers";
                self.values.found.push(
                    Diagnostic::error(Code::InvalidValue, span, title)
                        .label(format!("these are {}", numbers.len()))
                        .note("the lower triangle, row by row, of ln A, ln B, E, α, β"),
                );
                None
            }
        }
    }

    fn tasks(&mut self) -> Option<Vec<LawTask>> {
        let mut tasks = Vec::new();
        for name in &self.values.draft.tasks {
            let path = |leaf: &str| format!("law.task.{name}.{leaf}");
            tasks.push(LawTask {
                name: name.clone(),
                error: self.share(&path("error"))?,
                scale: self.factor(&path("scale"))?,
                rate: self.factor(&path("rate"))?,
                loss_low: self.factor(&path("loss_low"))?,
                loss_high: self.factor(&path("loss_high"))?,
            });
        }
        Some(tasks)
    }

    /// A constant that the form of the law has.
    fn needed(&mut self, name: &str) -> Option<f64> {
        let value = self.factor(&format!("law.{name}"));
        if value.is_none() && self.values.found.is_empty() {
            let place = self.values.place("law.form").or_else(|| self.values.place("law.source"));
            let span = place.unwrap_or(self.values.draft.span);
            let title = format!("`law` needs `{name}`");
            self.values.found.push(
                Diagnostic::error(Code::MissingAttribute, span, title)
                    .help(format!("add `{name} = …`: its form is made of it")),
            );
        }
        value
    }

    fn real_count(&mut self, path: &str) -> Option<f64> {
        self.count(path).map(|count| count as f64)
    }
}

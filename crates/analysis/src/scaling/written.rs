//! The closed forms of laws in the language's own words, for derivations. They say what [`laws`](super::laws) computes.

use llmplan_spec::plan::{Law, LawForm, LawParams};

/// A law whose constants are named, where it is the plan's own, or else written out.
#[derive(Clone, Copy)]
pub(super) struct Written<'l> {
    pub(super) law: &'l Law,
    pub(super) own: bool,
}

impl Written<'_> {
    /// The loss at `n` parameters, so counted that C = 6ND, and `d` tokens.
    pub(super) fn loss(self, n: &str, d: &str) -> Option<String> {
        let n = self.counted(n);
        match self.law.form {
            LawForm::Parametric { .. } => {
                let [e, a, b, alpha, beta] = self.constants()?;
                Some(format!("{e} + {a} / {n} ^ {alpha} + {b} / {d} ^ {beta}"))
            }
            LawForm::Kaplan { .. } => {
                let [_, a, b, alpha, beta] = self.constants()?;
                Some(format!("(({a} / {n}) ^ ({alpha} / {beta}) + {b} / {d}) ^ {beta}"))
            }
            LawForm::Allocation => None,
        }
    }

    /// N* at a compute, in parameters of which C = 6ND.
    pub(super) fn optimal_params(self, compute: &str) -> Option<String> {
        if let Some(allocation) = self.law.allocation {
            let coefficient = self.constant("n_coefficient", allocation.n_coefficient);
            let exponent = self.constant("n_exponent", allocation.n_exponent);
            let sixth = if self.law.params == LawParams::FlopsPerToken { " / 6" } else { "" };
            return Some(format!("{coefficient} * ({compute} / 1 FLOP) ^ {exponent}{sixth}"));
        }
        let [_, a, b, alpha, beta] = self.constants()?;
        Some(match self.law.form {
            LawForm::Parametric { .. } => {
                let a = match self.law.params {
                    LawParams::FlopsPerToken => format!("{a} / 6 ^ {alpha}"),
                    LawParams::Total | LawParams::NonEmbedding => a,
                };
                format!(
                    "({alpha} * {a} / ({beta} * {b})) ^ (1 / ({alpha} + {beta})) * ({compute} / 6 FLOP) ^ ({beta} / \
                     ({alpha} + {beta}))"
                )
            }
            LawForm::Kaplan { .. } => {
                let a = match self.law.params {
                    LawParams::FlopsPerToken => format!("({a} / 6)"),
                    LawParams::Total | LawParams::NonEmbedding => a,
                };
                format!(
                    "({alpha} / {beta} * {a} ^ ({alpha} / {beta}) * ({compute} / 6 FLOP) / {b}) ^ ({beta} / ({alpha} + \
                     {beta}))"
                )
            }
            LawForm::Allocation => return None,
        })
    }

    /// D* at a compute, where the law declares it.
    pub(super) fn declared_tokens(self, compute: &str) -> Option<String> {
        let allocation = self.law.allocation?;
        let coefficient = self.constant("d_coefficient", allocation.d_coefficient);
        let exponent = self.constant("d_exponent", allocation.d_exponent);
        Some(format!("{coefficient} * ({compute} / 1 FLOP) ^ {exponent}"))
    }

    /// The factor by which the least compute for a loss differs from the compute whose optimum has the loss `optimal`.
    pub(super) fn relative_compute(self, optimal: &str, loss: &str) -> Option<String> {
        if self.law.allocation.is_some() {
            return None;
        }
        let [e, _, _, alpha, beta] = self.constants()?;
        let above = |loss: &str| match self.law.form {
            LawForm::Parametric { .. } => format!("({loss} - {e})"),
            LawForm::Kaplan { .. } | LawForm::Allocation => loss.to_owned(),
        };
        Some(format!("({} / {}) ^ (1 / {alpha} + 1 / {beta})", above(optimal), above(loss)))
    }

    /// The parameters that so many tokens are the optimum for.
    pub(super) fn params_for(self, tokens: &str) -> Option<String> {
        if let Some(allocation) = self.law.allocation {
            let n = self.constant("n_coefficient", allocation.n_coefficient);
            let d = self.constant("d_coefficient", allocation.d_coefficient);
            let power = format!(
                "{} / {}",
                self.constant("n_exponent", allocation.n_exponent),
                self.constant("d_exponent", allocation.d_exponent)
            );
            let sixth = if self.law.params == LawParams::FlopsPerToken { " / 6" } else { "" };
            return Some(format!("{n} * ({tokens} / {d}) ^ ({power}){sixth}"));
        }
        let [_, a, b, alpha, beta] = self.constants()?;
        let flops = self.law.params == LawParams::FlopsPerToken;
        let sixth = if flops { " / 6" } else { "" };
        Some(match self.law.form {
            LawForm::Parametric { .. } => {
                format!("({alpha} * {a} * {tokens} ^ {beta} / ({beta} * {b})) ^ (1 / {alpha}){sixth}")
            }
            LawForm::Kaplan { .. } => {
                format!("{a} * ({alpha} / {beta} * {tokens} / {b}) ^ ({beta} / {alpha}){sixth}")
            }
            LawForm::Allocation => return None,
        })
    }

    /// Bytes of text in a token, as a plain number.
    pub(super) fn bytes_per_token(self) -> Option<String> {
        let bytes = self.law.bytes_per_token?;
        Some(if self.own { "law.bytes_per_token / 1 byte".to_owned() } else { format!("{bytes}") })
    }

    /// E, A, B, α, β; `None` where the law has none.
    fn constants(self) -> Option<[String; 5]> {
        let (e, a, b, alpha, beta) = match self.law.form {
            LawForm::Parametric { e, a, b, alpha, beta } => (e, a, b, alpha, beta),
            LawForm::Kaplan { a, b, alpha, beta } => (0.0, a, b, alpha, beta),
            LawForm::Allocation => return None,
        };
        let named = [("e", e), ("a", a), ("b", b), ("alpha", alpha), ("beta", beta)];
        // `e` may be left out: it is 0 then.
        Some(named.map(|(name, value)| match value {
            0.0 => "0".to_owned(),
            value => self.constant(name, value),
        }))
    }

    fn constant(self, name: &str, value: f64) -> String {
        if self.own { format!("law.{name}") } else { format!("{value}") }
    }

    /// N as the law counts it.
    fn counted(self, n: &str) -> String {
        match self.law.params {
            LawParams::FlopsPerToken => format!("(6 * {n})"),
            LawParams::Total | LawParams::NonEmbedding if n.contains(' ') => format!("({n})"),
            LawParams::Total | LawParams::NonEmbedding => n.to_owned(),
        }
    }
}

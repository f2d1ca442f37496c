//! Records of published models, and how the language says each.

use std::fmt::Write as _;

use serde_json::Value;

/// Architecture records of 98 published models, each with its source.
const RECORDS: &str = include_str!("../../data/models.json");

/// A published model.
#[derive(Debug)]
pub struct Record(Value);

/// Every record.
pub fn records() -> Vec<Record> {
    let Value::Object(mut data) = serde_json::from_str(RECORDS).unwrap() else { panic!("no object") };
    let Some(Value::Array(rows)) = data.remove("models") else { panic!("no models") };
    rows.into_iter().map(Record).collect()
}

/// The record of a name.
pub fn record(name: &str) -> Record {
    records()
        .into_iter()
        .find(|record| record.name() == name)
        .unwrap_or_else(|| panic!("no record of {name}"))
}

impl Record {
    /// Its name.
    pub fn name(&self) -> &str {
        self.word("name")
    }

    /// The parameters that were counted from its code.
    pub fn counted(&self) -> Option<u128> {
        self.0["meta_total"].as_u64().map(u128::from)
    }

    /// The parameters that are printed, exactly.
    pub fn printed(&self) -> Option<u128> {
        self.0["published_total"].as_u64().map(u128::from)
    }

    /// The parameters that are printed, as `70B` or `125M`.
    pub fn printed_label(&self) -> Option<f64> {
        let label = self.0["published_approx"].as_str()?.split(' ').next()?;
        let scale = match label.chars().last()? {
            'M' => 1e6,
            'B' => 1e9,
            _ => return None,
        };
        label[..label.len() - 1].parse::<f64>().ok().map(|number| number * scale)
    }

    /// Its longest sequence.
    pub fn context(&self) -> u64 {
        self.count("context_length")
    }

    /// The model in the language, with the name it has in the catalog's alphabet.
    pub fn text(&self) -> String {
        let row = &self.0;
        let mut text = format!("model {} {{\n", self.name().to_lowercase());
        for (name, field) in [
            ("layers", "layers"),
            ("d_model", "d_model"),
            ("vocab", "vocab_size"),
            ("context", "context_length"),
        ] {
            let _ = writeln!(text, "  {name} = {}", self.count(field));
        }
        let position = &row["position"];
        if let Some(size) = position["size"].as_u64() {
            let _ =
                writeln!(text, "  position_rows = {}", size + position["extra_rows"].as_u64().unwrap_or(0));
        }
        let _ = writeln!(text, "  tied_embeddings = {}", flag(&row["tied_embeddings"]));
        let _ = writeln!(text, "  output_bias = {}", flag(&row["biases"]["lm_head"]));
        let block = match (flag(&row["parallel_attn_ffn"]), flag(&row["norms"]["pre_ffn"])) {
            (false, _) => "sequential",
            (true, true) => "parallel_two_norms",
            (true, false) => "parallel",
        };
        let _ = writeln!(text, "  block = {block}");
        self.attention(&mut text);
        self.feed_forward(&mut text);
        self.norm(&mut text);
        self.layers(&mut text);
        text + "}\n"
    }

    fn attention(&self, text: &mut String) {
        let row = &self.0;
        let _ = write!(text, "\n  attention {{\n    heads = {}\n", self.count("n_heads"));
        if row["mla"].is_object() {
            text.push_str("    kind = mla\n");
            for (name, field) in [
                ("q_rank", "q_lora_rank"),
                ("kv_rank", "kv_lora_rank"),
                ("nope_dim", "qk_nope_head_dim"),
                ("rope_dim", "qk_rope_head_dim"),
                ("v_dim", "v_head_dim"),
            ] {
                if let Some(count) = row["mla"][field].as_u64() {
                    let _ = writeln!(text, "    {name} = {count}");
                }
            }
        } else {
            let _ = writeln!(text, "    kv_heads = {}", self.count("n_kv_heads"));
            let _ = writeln!(text, "    head_dim = {}", self.count("head_dim"));
        }
        let position = row["position"]["type"].as_str().unwrap();
        // `relative (Transformer-XL style)` begins with its word.
        let _ = writeln!(text, "    position = {}", position.split(' ').next().unwrap());
        if let Some(fraction) = row["position"]["rotary_fraction"].as_f64() {
            let _ = writeln!(text, "    rope_dim = {}", self.count("head_dim") as f64 * fraction);
        }
        let _ = writeln!(text, "    qkv_bias = {}", flag(&row["biases"]["qkv"]));
        let _ = writeln!(text, "    output_bias = {}", flag(&row["biases"]["attn_out"]));
        let _ = writeln!(text, "    qk_norm = {}", row["norms"]["qk_norm"].as_str().unwrap());
        let _ = writeln!(text, "    sinks = {}", flag(&row["attention_sinks"]));
        match (self.pattern(), row["sliding_window"]["size"].as_u64()) {
            (Pattern::None | Pattern::SecondLocal, _) => {}
            (Pattern::Chunked, Some(size)) => {
                let _ = writeln!(text, "    chunk = {size} tokens");
            }
            (_, size) => {
                let _ = writeln!(text, "    window = {} tokens", size.unwrap());
            }
        }
        text.push_str("  }\n");
    }

    fn feed_forward(&self, text: &mut String) {
        let (row, moe) = (&self.0, &self.0["moe"]);
        let kind = match self.word("ffn") {
            "gelu_mlp" => "gelu",
            "relu_mlp" => "relu",
            "relu2_mlp" => "relu2",
            other => other,
        };
        if !moe.is_object() || moe["first_dense_layers"].as_u64() > Some(0) {
            let _ = write!(text, "\n  ffn {{\n    kind = {kind}\n    d_ff = {}\n", self.count("d_ff"));
            let _ = write!(text, "    bias = {}\n  }}\n", flag(&row["biases"]["ffn"]));
        }
        if moe.is_object() {
            assert_eq!(moe["moe_every"], 1, "{}", self.name());
            let _ = write!(text, "\n  moe {{\n    kind = {kind}\n");
            for (name, field) in [
                ("experts", "experts"),
                ("experts_per_token", "top_k"),
                ("d_ff", "expert_d_ff"),
                ("shared_experts", "shared_experts"),
                ("shared_d_ff", "shared_d_ff"),
            ] {
                if let Some(count) = moe[field].as_u64() {
                    let _ = writeln!(text, "    {name} = {count}");
                }
            }
            for (name, field) in [
                ("bias", "expert_bias"),
                ("router_bias", "router_bias"),
                ("correction_bias", "router_score_bias"),
                ("shared_gate", "shared_gate"),
            ] {
                let _ = writeln!(text, "    {name} = {}", flag(&moe[field]));
            }
            text.push_str("  }\n");
        }
    }

    fn norm(&self, text: &mut String) {
        let norms = &self.0["norms"];
        let more = match self.word("norm") {
            "rmsnorm" => "kind = rmsnorm",
            "layernorm" => "kind = layernorm",
            "layernorm_nobias" => "kind = layernorm\n    bias = false",
            "nonparametric_layernorm" => "kind = layernorm\n    weight = false",
            other => panic!("{}: {other}", self.name()),
        };
        let placement = match (flag(&norms["pre_attn"]), flag(&norms["post_attn"])) {
            (true, false) => "pre",
            (true, true) => "sandwich",
            (false, true) => "post",
            (false, false) => panic!("{} has no norms", self.name()),
        };
        let _ = write!(text, "\n  norm {{\n    {more}\n    placement = {placement}\n");
        let _ = writeln!(text, "    embedding = {}", flag(&norms["embedding_norm"]));
        let _ = write!(text, "    final = {}\n  }}\n", flag(&norms["final_norm"]));
    }

    /// The layers that differ from the others.
    fn layers(&self, text: &mut String) {
        let size = self.0["sliding_window"]["size"].as_u64().unwrap_or_default();
        let (at, attention) = match self.pattern() {
            Pattern::None | Pattern::All => ("", String::new()),
            Pattern::SecondLocal => ("every 2", format!("window = {size} tokens")),
            Pattern::SecondFull => ("every 2", "window = none".to_owned()),
            Pattern::SixthFull => ("every 6", "window = none".to_owned()),
            Pattern::FourthFullWithoutPositions => {
                ("every 4", "window = none\n      position = none".to_owned())
            }
            Pattern::Chunked => ("every 4", "chunk = none\n      position = none".to_owned()),
        };
        if !at.is_empty() {
            let _ = write!(
                text,
                "\n  layer other {{\n    at = {at}\n\n    attention {{\n      {attention}\n    }}\n  }}\n"
            );
        }
        if let Some(dense @ 1..) = self.0["moe"]["first_dense_layers"].as_u64() {
            let _ =
                write!(text, "\n  layer dense {{\n    at = first {dense}\n    feed_forward = dense\n  }}\n");
        }
    }

    fn pattern(&self) -> Pattern {
        match self.0["sliding_window"]["pattern"].as_str() {
            // GPT-3's is a note: its width was never published.
            None => Pattern::None,
            Some("all") => Pattern::All,
            Some("global,local alternating") => Pattern::SecondLocal,
            Some("local,global alternating (1:1)") => Pattern::SecondFull,
            Some("5 local : 1 global") => Pattern::SixthFull,
            Some("3 local : 1 global (NoPE)") => Pattern::FourthFullWithoutPositions,
            Some("chunked 3 of 4") => Pattern::Chunked,
            Some(other) => panic!("{}: {other}", self.name()),
        }
    }

    fn count(&self, field: &str) -> u64 {
        self.0[field].as_u64().unwrap_or_else(|| panic!("{} has no {field}", self.name()))
    }

    fn word(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap()
    }
}

/// Which layers see how far.
#[derive(Clone, Copy)]
enum Pattern {
    None,
    All,
    SecondLocal,
    SecondFull,
    SixthFull,
    FourthFullWithoutPositions,
    Chunked,
}

/// What is left out is false.
fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

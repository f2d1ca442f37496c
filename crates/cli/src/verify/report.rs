//! What a verification found, as text and as JSON.

use llmplan_spec::plan::{Origin, SettingValue};
use llmplan_spec::units::format::{BytePrefix, grouped, quantity};
use llmplan_spec::units::{Number, Unit};
use serde::Serialize;

use super::Verified;
use super::compare::{Aside, Heap, Pair};
use super::group::What;
use crate::render::paint::Paint;
use crate::render::table::{Align, Table};
use crate::render::verdict::plural;
use crate::render::{WIDTH, clean, shortened, wrapped};

/// The most differences that a text shows.
const MOST: usize = 100;

impl Verified<'_> {
    /// The report, or of it the first lines.
    pub(crate) fn text(&self, brief: bool, paint: Paint) -> String {
        let mut text = self.verdict(paint);
        if brief {
            return text;
        }
        let files = match self.checkpoint.files {
            1 => String::new(),
            files => format!(" with {files} files"),
        };
        for (word, named) in [
            ("plan", format!("{} ({})", self.plan.name, self.file)),
            ("checkpoint", format!("{}{files}", self.checkpoint.file)),
        ] {
            text.push_str(&format!("  {word:<10}  {}\n", clean(&named)));
        }
        let mut tables = vec![self.totals()];
        if self.comparison.types.len() > 1 {
            tables.push(self.types());
        }
        tables.push(self.parts());
        if !self.equal() {
            tables.push(self.differences());
        }
        for table in tables {
            text.push('\n');
            text.push_str(&table.text(WIDTH, paint));
        }
        let hidden = self.comparison.differences.len().saturating_sub(MOST);
        if hidden > 0 {
            text.push_str(&format!("  … and {}; --format json has all\n", plural(hidden, "more difference")));
        }
        let notes = self.notes();
        if !notes.is_empty() {
            text.push('\n');
        }
        for note in notes {
            for (at, line) in wrapped(&clean(&note), WIDTH - 4).iter().enumerate() {
                text.push_str(&format!("{}{line}\n", if at == 0 { "  " } else { "    " }));
            }
        }
        text
    }

    /// `OK, 291 tensors, 8,030,261,248 parameters, 16.06 GB bf16`
    fn verdict(&self, paint: Paint) -> String {
        if !self.equal() {
            let count = self.differing();
            let noun = if count == 1 { "tensor" } else { "tensors" };
            return format!("{}: {} {noun}\n", paint.bad("DIFFERS"), grouped(count));
        }
        let found = &self.comparison;
        let tensors: u64 = found.types.values().map(|heap| heap.tensors).sum();
        let aside: u64 = found.aside.values().map(|heap| heap.tensors).sum();
        let aside = match aside {
            0 => String::new(),
            count => format!("; {} not compared", grouped(count.into())),
        };
        let mut types: Vec<(&String, &Heap)> = found.types.iter().collect();
        types.sort_by_key(|(_, heap)| std::cmp::Reverse(heap.bytes));
        let types = match types.as_slice() {
            few @ ([_] | [_, _] | [_, _, _]) => {
                few.iter().map(|(dtype, _)| type_word(dtype)).collect::<Vec<_>>().join(", ")
            }
            many => format!("in {} types", many.len()),
        };
        format!(
            "{}, {} tensors, {} parameters, {} {}{aside}\n",
            paint.good("OK"),
            grouped(tensors.into()),
            grouped(found.parameters.checkpoint),
            bytes(found.bytes.checkpoint),
            types
        )
    }

    fn totals(&self) -> Table {
        let found = &self.comparison;
        let mut table = Table::new(&[
            ("Total", Align::Left),
            ("plan", Align::Right),
            ("checkpoint", Align::Right),
            ("difference", Align::Right),
        ]);
        let mut row = |name: &str, pair: Pair| {
            let difference = match pair.checkpoint.checked_sub(pair.plan) {
                Some(0) => "0".to_owned(),
                Some(more) => format!("+{}", grouped(more)),
                None => format!("-{}", grouped(pair.plan - pair.checkpoint)),
            };
            table.push([name, &grouped(pair.plan), &grouped(pair.checkpoint), &difference]);
        };
        row("Parameters", found.parameters);
        if found.buffers != Pair::default() {
            row("Buffers", found.buffers);
        }
        row("Bytes", found.bytes);
        table
    }

    fn types(&self) -> Table {
        let mut table = Table::new(&[
            ("Type", Align::Left),
            ("tensors", Align::Right),
            ("values", Align::Right),
            ("bytes", Align::Right),
        ]);
        for (dtype, heap) in &self.comparison.types {
            let tensors = grouped(heap.tensors.into());
            table.push([&type_word(dtype), &tensors, &grouped(heap.values), &bytes(heap.bytes)]);
        }
        table
    }

    fn parts(&self) -> Table {
        let mut table = Table::new(&[
            ("Part", Align::Left),
            ("tensors", Align::Right),
            ("values", Align::Right),
            ("", Align::Left),
        ]);
        for part in self.comparison.parts.iter().take(MOST) {
            let several = part.numbers.as_ref().is_some_and(|numbers| numbers.count() > 1);
            let each = if several { " each" } else { "" };
            let name = match &part.numbers {
                None => part.name.to_owned(),
                Some(numbers) if part.kind.is_empty() => format!("{} {numbers}", part.name),
                Some(numbers) => {
                    let plural = if several { "s" } else { "" };
                    format!("{}{plural} {numbers}, {}", part.name, part.kind)
                }
            };
            let (tensors, values) = match part.tensors {
                0 => ("none".to_owned(), String::new()),
                tensors => {
                    (format!("{}{each}", grouped(tensors.into())), format!("{}{each}", grouped(part.values)))
                }
            };
            table.push([&name, &tensors, &values, if part.equal { "equal" } else { "differs" }]);
        }
        table
    }

    fn differences(&self) -> Table {
        let mut table = Table::new(&[
            ("Tensor", Align::Prose),
            ("layers", Align::Prose),
            ("plan", Align::Right),
            ("checkpoint", Align::Right),
            ("what", Align::Prose),
        ]);
        for ((_, problem), numbers) in self.comparison.differences.iter().take(MOST) {
            let layers = numbers.as_ref().map(ToString::to_string).unwrap_or_default();
            let label = shortened(&problem.label, 160);
            table.push([
                &label,
                &layers,
                &shortened(&problem.plan, 30),
                &shortened(&problem.checkpoint, 30),
                &problem.words,
            ]);
        }
        table.without_empty_columns()
    }

    /// That a plan says another precision than the checkpoint has, where it says one.
    fn other_precision(&self) -> Option<String> {
        let setting = self.plan.setting("training.precision")?;
        let (Origin::Declared(_), SettingValue::Text(own)) = (&setting.origin, &setting.value) else {
            return None;
        };
        let types: Vec<String> = self.comparison.types.keys().map(|dtype| type_word(dtype)).collect();
        (!types.is_empty() && !types.contains(own)).then(|| {
            let types = types.join(" and ");
            format!("The plan trains in {own}, the checkpoint is in {types}: bytes are those of the checkpoint's types.")
        })
    }

    /// What to know beside the comparison.
    fn notes(&self) -> Vec<String> {
        let differences = &self.comparison.differences;
        let has = |what: What| differences.keys().any(|(_, problem)| problem.what == what);
        let mut notes: Vec<String> =
            self.comparison.aside.iter().map(|(aside, heap)| note(*aside, heap)).collect();
        let lacks = |label: &str| {
            differences.keys().any(|(_, problem)| problem.what == What::Missing && problem.label == label)
        };
        if lacks("logits") {
            notes.push(
                "No output projection is in the checkpoint: if it is the embedding, say `tied_embeddings = true`."
                    .to_owned(),
            );
        }
        notes.extend(self.other_precision());
        if has(What::Shape) {
            notes.push(
                "The plan's matrices are inputs × outputs; either way round is equal to a checkpoint's."
                    .to_owned(),
            );
        }
        if has(What::Packed) {
            notes.push(
                "Packed weights have a number of bits that only their configuration tells: verify the checkpoint \
                 that was quantised."
                    .to_owned(),
            );
        }
        notes
    }

    /// The report as JSON.
    ///
    /// # Errors
    /// Where it cannot be written, which would be a bug.
    pub(crate) fn json(&self) -> Result<String, serde_json::Error> {
        let found = &self.comparison;
        let aside = |(aside, heap): (&Aside, &Heap)| JsonAside {
            bytes: heap.bytes,
            example: heap.example.clone(),
            note: note(*aside, heap),
            tensors: heap.tensors,
            values: heap.values,
        };
        let document = JsonDocument {
            aside: found.aside.iter().map(aside).collect(),
            buffers: found.buffers.into(),
            bytes: found.bytes.into(),
            checkpoint: &self.checkpoint.file,
            differences: found
                .differences
                .iter()
                .map(|((part, problem), numbers)| JsonDifference {
                    checkpoint: &problem.checkpoint,
                    layers: numbers.iter().flat_map(|numbers| numbers.bounds()).collect(),
                    message: &problem.words,
                    part,
                    plan: &problem.plan,
                    problem: problem.what.word(),
                    tensor: &problem.label,
                })
                .collect(),
            equal: self.equal(),
            file: &self.file,
            files: self.checkpoint.files,
            parameters: found.parameters.into(),
            parts: found
                .parts
                .iter()
                .map(|part| JsonPart {
                    equal: part.equal,
                    kind: &part.kind,
                    layers: part.numbers.iter().flat_map(|numbers| numbers.bounds()).collect(),
                    part: part.name,
                    tensors_each: part.tensors,
                    values_each: part.values,
                })
                .collect(),
            plan: &self.plan.name,
            schema_version: 1,
            types: found
                .types
                .iter()
                .map(|(dtype, heap)| JsonType {
                    bytes: heap.bytes,
                    dtype,
                    tensors: heap.tensors,
                    values: heap.values,
                })
                .collect(),
        };
        Ok(serde_json::to_string_pretty(&document)? + "\n")
    }
}

fn note(aside: Aside, heap: &Heap) -> String {
    let (count, values) = (grouped(heap.tensors.into()), grouped(heap.values));
    let example = format!("`{}`", shortened(&heap.example, 80));
    let (named, size) = match heap.tensors {
        1 => (example, format!("{values} values, {}", bytes(heap.bytes))),
        _ => {
            (format!("{count} tensors such as {example}"), format!("{values} values, {}", bytes(heap.bytes)))
        }
    };
    let why = match aside {
        Aside::Copy => {
            "a copy of what the plan has once, as its embeddings are tied or are those of a module too. \
             Headers do not tell whether the values are equal: if not, `tied_embeddings` is `false`"
        }
        Aside::Buffer => "computed when the model is loaded",
        Aside::Module => "multi-token prediction that the plan leaves out",
        Aside::Companion => "scales and the like of quantised weights",
    };
    format!("Not compared: {named} ({size}): {why}.")
}

fn bytes(bytes: u128) -> String {
    let number = i128::try_from(bytes).map_or(Number::Real(bytes as f64), Number::Int);
    quantity(number, Unit::BYTES, 4, BytePrefix::Decimal)
}

/// A type as plans write it: `bf16`.
fn type_word(dtype: &str) -> String {
    match dtype {
        "F64" | "F32" | "F16" => dtype.replace('F', "fp"),
        other => other.to_lowercase(),
    }
}

/// The output of `llmplan verify --format json`. Fields stand in the order of their names.
#[derive(Serialize)]
struct JsonDocument<'r> {
    aside: Vec<JsonAside>,
    buffers: JsonPair,
    bytes: JsonPair,
    checkpoint: &'r str,
    differences: Vec<JsonDifference<'r>>,
    equal: bool,
    file: &'r str,
    files: usize,
    parameters: JsonPair,
    parts: Vec<JsonPart<'r>>,
    plan: &'r str,
    schema_version: u32,
    types: Vec<JsonType<'r>>,
}

#[derive(Serialize)]
struct JsonAside {
    bytes: u128,
    example: String,
    note: String,
    tensors: u64,
    values: u128,
}

#[derive(Serialize)]
struct JsonDifference<'r> {
    checkpoint: &'r str,
    /// First and last of each range.
    layers: Vec<(u64, u64)>,
    message: &'r str,
    part: &'r str,
    plan: &'r str,
    problem: &'static str,
    tensor: &'r str,
}

#[derive(Serialize)]
struct JsonPart<'r> {
    equal: bool,
    kind: &'r str,
    layers: Vec<(u64, u64)>,
    part: &'r str,
    tensors_each: u64,
    values_each: u128,
}

#[derive(Serialize)]
struct JsonType<'r> {
    bytes: u128,
    dtype: &'r str,
    tensors: u64,
    values: u128,
}

#[derive(Serialize)]
struct JsonPair {
    checkpoint: u128,
    plan: u128,
}

impl From<Pair> for JsonPair {
    fn from(pair: Pair) -> JsonPair {
        JsonPair { checkpoint: pair.checkpoint, plan: pair.plan }
    }
}

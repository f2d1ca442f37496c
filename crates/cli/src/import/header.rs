//! What stands above an imported model: its name, and comments on what its configuration said.

use crate::render::{clean, shortened, wrapped};

use super::json::{Json, Object};
use super::{Fault, Imported, Request};

/// The most names of one list.
const MAX_NAMES: usize = 80;
/// The longest name of a model.
const MAX_NAME: usize = 64;
/// Columns of a comment, its mark left out.
const WIDTH: usize = 98;

/// What to call the model: as asked for, as the configuration or its file is called, or else its type.
///
/// # Errors
/// Where the name that was asked for is none.
pub(super) fn name(request: Request<'_>, whole: &Object, kind: &str) -> Result<String, Fault> {
    if let Some(asked) = request.name {
        let shown = clean(&shortened(asked, 60));
        return match valid(asked) {
            Some(name) if name == asked => Ok(name),
            Some(name) => {
                Err(Fault::new(format!("`{shown}` is no name of a model")).help(format!("`{name}` is one")))
            }
            None => Err(Fault::new(format!("`{shown}` is no name of a model"))
                .help("a name begins with a small letter: `llama-3.1-8b`")),
        };
    }
    let written = match whole.get("_name_or_path") {
        Some(Json::Text(path)) => path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next(),
        _ => None,
    };
    Ok(written
        .and_then(valid)
        .or_else(|| request.stem.and_then(valid))
        .or_else(|| valid(kind))
        .unwrap_or_else(|| "model".to_owned()))
}

/// A text as a name: small letters and digits, with `_`, `-` and `.` between them, beginning with a letter.
pub(crate) fn valid(text: &str) -> Option<String> {
    let mut name = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' => name.push(c),
            '0'..='9' | '_' if !name.is_empty() => name.push(c),
            // One mark between letters and digits, and none in front of them.
            _ if name.is_empty() || name.ends_with(['-', '.']) => {}
            '.' => name.push('.'),
            _ => name.push('-'),
        }
        if name.len() == MAX_NAME {
            break;
        }
    }
    let name = name.trim_end_matches(['-', '.']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// The comments above the model.
pub(super) fn comment(file: &str, kind: &str, imported: &Imported) -> String {
    let mut out = String::new();
    paragraph(&mut out, &format!("Imported from {file}, a configuration of the model type `{kind}`."));
    let defaulted: Vec<String> =
        imported.defaulted.iter().map(|(key, value)| format!("{key}={value}")).collect();
    for (what, names) in [
        ("Read".to_owned(), &imported.read),
        (format!("Left out there, and so as `{kind}` has it"), &defaulted),
        ("Without meaning here".to_owned(), &imported.ignored),
    ] {
        if !names.is_empty() {
            paragraph(&mut out, &format!("{what}: {}", list(names)));
        }
    }
    for remark in &imported.remarks {
        paragraph(&mut out, &format!("Note: {remark}"));
    }
    out.push('\n');
    out
}

fn list(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(MAX_NAMES).map(|name| shortened(name, 60)).collect();
    if names.len() > MAX_NAMES {
        shown.push(format!("and {} more", names.len() - MAX_NAMES));
    }
    format!("{}.", shown.join(", "))
}

fn paragraph(out: &mut String, text: &str) {
    for (at, line) in wrapped(&clean(text), WIDTH - 2).iter().enumerate() {
        out.push_str(if at == 0 { "# " } else { "#   " });
        out.push_str(line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_name_or_none() {
        assert_eq!(valid("Llama-2-7b-hf").as_deref(), Some("llama-2-7b-hf"));
        assert_eq!(valid("Qwen2.5-0.5B").as_deref(), Some("qwen2.5-0.5b"));
        assert_eq!(valid("01-ai/Yi 6B (chat)").as_deref(), Some("ai-yi-6b-chat"));
        assert_eq!(valid("x..--y__z").as_deref(), Some("x.y__z"));
        assert_eq!(valid("模型"), None);
        assert_eq!(valid("7"), None);
        assert_eq!(valid(&"a".repeat(500)).map(|name| name.len()), Some(64));
    }
}

//! Diagnostics as rustc shows its own. The only file that knows annotate-snippets.

use std::ops::Range;

use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Message, Origin, Patch, Renderer, Snippet, Title,
};
use llmplan_analysis::report::Judgement;
use llmplan_spec::diagnostic::{Code, Diagnostic, Fix, Label, Severity};
use llmplan_spec::source::{FileId, Sources, Span};

use super::excerpt::{Excerpt, excerpt};
use super::paint::Paint;
use super::{WIDTH, clean, shortened, wrapped};

/// The most diagnostics shown for one file.
const SHOWN: usize = 50;
/// The longest text of a title, label, note or help, in characters.
const TEXT: usize = 400;
/// Places of one file further apart than this many bytes are shown apart.
const APART: usize = 4_000;

/// The diagnostics of a file, each followed by a blank line; of very many the first, and how many there are more.
///
/// `file` names the file where a diagnostic has no place in a text.
pub(crate) fn all(diagnostics: &[Diagnostic], sources: &Sources, file: &str, paint: Paint) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics.iter().take(SHOWN) {
        text.push_str(&one(diagnostic, sources, file, paint));
        text.push_str("\n\n");
    }
    if diagnostics.len() > SHOWN {
        text.push_str(&format!("… and {} more\n\n", diagnostics.len() - SHOWN));
    }
    text
}

/// A broken requirement as a diagnostic: what the value is, by how much it fails, what it is made of.
pub(crate) fn broken(judgement: &Judgement) -> Diagnostic {
    let condition = format!("`{}`", judgement.condition);
    let diagnostic = if judgement.strict {
        Diagnostic::error(Code::RequirementFailed, judgement.span, format!("{condition} does not hold"))
    } else {
        Diagnostic::warning(Code::PreferenceNotMet, judgement.span, format!("{condition} is not met"))
    };
    let excess = judgement.excess.as_ref().map(|excess| format!(": {excess}")).unwrap_or_default();
    let mut diagnostic = diagnostic
        .label(format!("this is {}", judgement.value))
        .note(format!("the limit is {}{excess}", judgement.limit));
    if !judgement.contributors.is_empty() {
        diagnostic = diagnostic.note(format!("largest parts: {}", judgement.contributors.join("; ")));
    }
    match &judgement.reason {
        Some(reason) => diagnostic.note(format!("reason: {reason}")),
        None => diagnostic,
    }
}

/// One diagnostic, without a line break at its end.
pub(crate) fn one(diagnostic: &Diagnostic, sources: &Sources, file: &str, paint: Paint) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(tidy(&diagnostic.title)).id(diagnostic.code.as_str());
    // The last help is about the edit, where there is one.
    let (edit, help) = match (&diagnostic.fix, diagnostic.help.split_last()) {
        (Some(fix), Some((last, help))) if !last.contains('\n') => (Some((fix, Some(last.as_str()))), help),
        (fix, _) => (fix.as_ref().map(|fix| (fix, None)), diagnostic.help.as_slice()),
    };
    let mut columns = Vec::new();
    let mut groups = vec![explained(title, diagnostic, help, sources, file, &mut columns)];
    groups.extend(edit.and_then(|(fix, title)| mended(fix, title, sources)));
    let renderer = if paint.color { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.term_width(WIDTH).render(&groups);
    for (wrong, right) in columns {
        text = text.replacen(&wrong, &right, 1);
    }
    // The renderer pads lines to underline them; what nobody sees need not be there.
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The title with the places, notes and helps below it.
fn explained<'d>(
    title: Title<'d>,
    diagnostic: &'d Diagnostic,
    help: &'d [String],
    sources: &'d Sources,
    file: &'d str,
    columns: &mut Vec<(String, String)>,
) -> Group<'d> {
    let mut elements: Vec<Element<'d>> = Vec::new();
    match &diagnostic.primary {
        None => elements.push(Origin::path(clean(file)).into()),
        Some(primary) => {
            let mut labels = vec![primary];
            labels.extend(&diagnostic.secondary);
            for labels in together(&labels) {
                elements.extend(place(&labels, primary, sources, columns));
            }
        }
    }
    elements.extend(diagnostic.notes.iter().map(|note| message(Level::NOTE, note).into()));
    elements.extend(help.iter().map(|help| message(Level::HELP, help).into()));
    title.elements(elements)
}

/// A note or help; what is longer than a line continues below.
fn message<'d>(level: Level<'d>, text: &str) -> Message<'d> {
    let lines = text.lines().flat_map(|line| wrapped(&tidy(line), WIDTH - 14));
    level.message(lines.collect::<Vec<_>>().join("\n"))
}

/// The labels by what one excerpt can show: the same text, not far apart. The first label's part comes first.
fn together<'d>(labels: &[&'d Label]) -> Vec<Vec<&'d Label>> {
    let mut parts: Vec<Vec<&'d Label>> = Vec::new();
    for &label in labels {
        let near = |other: &&Label| {
            other.span.file == label.span.file
                && other.span.start.abs_diff(label.span.start) as usize <= APART
        };
        match parts.iter_mut().find(|part| part.iter().any(near)) {
            Some(part) => part.push(label),
            None => parts.push(vec![label]),
        }
    }
    parts
}

/// Labels of one text, underlined in it. Where a line is cut, its columns are not those of the file: what the renderer
/// will say and what it should say goes to `columns`.
fn place<'d>(
    labels: &[&'d Label],
    primary: &'d Label,
    sources: &'d Sources,
    columns: &mut Vec<(String, String)>,
) -> Option<Element<'d>> {
    let first = labels.first()?;
    let (shown, source) = cut(first.span.file, labels.iter().map(|label| label.span), sources);
    let name = clean(source);
    if shown.cut {
        for (label, span) in labels.iter().zip(&shown.spans) {
            let (line, column) = sources.line_column(label.span);
            let before = &shown.text[..span.start];
            let wrong = before[before.rfind('\n').map_or(0, |at| at + 1)..].chars().count() + 1;
            columns.push((format!("{name}:{line}:{wrong}"), format!("{name}:{line}:{column}")));
        }
    }
    let annotations: Vec<Annotation<'d>> = labels
        .iter()
        .zip(&shown.spans)
        .map(|(&label, span)| {
            let kind = if label == primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let text = (!label.text.is_empty()).then(|| tidy(&label.text));
            kind.span(span.clone()).label(text)
        })
        .collect();
    let snippet = Snippet::source(shown.text).line_start(shown.line).annotations(annotations);
    Some(snippet.path(name).into())
}

/// The edit that mends the mistake, shown where it can be: on lines that are not cut.
fn mended<'d>(fix: &'d Fix, title: Option<&str>, sources: &'d Sources) -> Option<Group<'d>> {
    let title = title.map_or_else(|| described(fix, sources), tidy);
    let group = Level::HELP.secondary_title(title);
    let (shown, _) = cut(fix.span.file, [fix.span].into_iter(), sources);
    if shown.cut || fix.replacement.len() > TEXT {
        return Some(group.elements(Vec::<Element<'d>>::new()));
    }
    let span = shown.spans.first()?.clone();
    let snippet = Snippet::source(shown.text)
        .line_start(shown.line)
        .patch(Patch::new(span, printable(&fix.replacement)));
    Some(group.element(snippet))
}

/// An edit in words.
fn described(fix: &Fix, sources: &Sources) -> String {
    let old = tidy(slice(sources, fix.span));
    let new = tidy(&fix.replacement);
    match (old.trim(), new.trim()) {
        _ if fix.replacement.contains('\n') => "write it like this".to_owned(),
        ("", "") => "change the white space".to_owned(),
        ("", new) => format!("insert `{new}`"),
        (old, "") => format!("remove `{old}`"),
        (_, new) => format!("replace with `{new}`"),
    }
}

/// The part of a text around spans, with the name of the text.
fn cut(file: FileId, spans: impl Iterator<Item = Span>, sources: &Sources) -> (Excerpt, &str) {
    let source = sources.get(file);
    let spans: Vec<Range<usize>> = spans.map(|span| span.start as usize..span.end as usize).collect();
    (excerpt(&source.text, &spans), &source.name)
}

fn slice(sources: &Sources, span: Span) -> &str {
    sources.get(span.file).text.get(span.start as usize..span.end as usize).unwrap_or_default()
}

/// One line of bounded length, without control characters.
fn tidy(text: &str) -> String {
    clean(&shortened(text, TEXT))
}

/// A replacement as it is shown: line breaks stay.
fn printable(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

//! `llmplan docs`: the language reference, from the schema of the language itself.

use llmplan_spec::codes::Code;
use llmplan_spec::schema::{BLOCKS, docs, suggest};

use crate::args::DocsArgs;
use crate::exit::Exit;
use crate::output::Output;
use crate::render::json;

/// Prints the whole reference or a topic.
pub(crate) fn run(args: &DocsArgs, output: &mut Output<'_>) -> Exit {
    let page = match args.topic.as_deref() {
        None => Some(docs::reference()),
        Some("schema") => Some(json::SCHEMA.to_owned()),
        Some(topic) => {
            docs::topic(topic).or_else(|| Code::parse(topic).map(|code| code.explanation().to_owned()))
        }
    };
    match (page, args.topic.as_deref()) {
        (Some(page), _) => {
            output.print(page.trim_end());
            output.print("\n");
            Exit::Fine
        }
        (None, topic) => {
            let topic = topic.unwrap_or_default();
            let meant = nearest(topic).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            output.trouble(&format!("there is no topic `{topic}`{meant}"));
            Exit::Trouble
        }
    }
}

/// The topic that a name was meant to be.
fn nearest(topic: &str) -> Option<String> {
    let fixed = ["statements", "quantities", "units", "functions", "codes", "schema"];
    let blocks = BLOCKS.iter().map(|block| block.kind);
    let codes = Code::ALL.iter().map(|code| code.as_str());
    let known = fixed.into_iter().chain(blocks).chain(codes);
    suggest::nearest(topic, known).map(str::to_owned).or_else(|| suggest::path(topic))
}

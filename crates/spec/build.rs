//! Lists the files of `specs/` for `src/catalog.rs`, so that a new file is in the catalog by being there.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../specs");
    let mut list = String::from(
        "/// Every file of the catalog, sorted by kind and name.\npub static ENTRIES: &[Entry] = &[\n",
    );
    for kind in ["device", "generation", "law", "model"] {
        let folder = root.join(format!("{kind}s"));
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut names: Vec<String> = match fs::read_dir(&folder) {
            Ok(entries) => entries
                .filter_map(|entry| {
                    entry.ok()?.file_name().into_string().ok()?.strip_suffix(".llm").map(str::to_owned)
                })
                .collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        names.sort();
        for name in names {
            let path = folder.join(format!("{name}.llm"));
            println!("cargo::rerun-if-changed={}", path.display());
            let path = path.display().to_string();
            let _ = writeln!(
                list,
                "    Entry {{ kind: {kind:?}, name: {name:?}, text: include_str!({path:?}) }},"
            );
        }
    }
    list.push_str("];\n");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("catalog.rs"), list)
}

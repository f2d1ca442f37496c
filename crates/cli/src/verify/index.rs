//! A checkpoint: one safetensors file, or several with an index that says which has which tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use safetensors::tensor::TensorInfo;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::header::{self, MAX_HEADER_BYTES};
use crate::load::{shown, words};
use crate::render::{shortened, verdict::plural};

/// What the headers of a checkpoint say.
pub(crate) struct Checkpoint {
    /// The file that was read first, as the user named it or its folder.
    pub(super) file: String,
    /// How many files have its tensors.
    pub(super) files: usize,
    /// Every tensor, sorted by its name.
    pub(super) tensors: BTreeMap<String, TensorInfo>,
}

/// Reads the headers of a checkpoint: a file, an index, or a folder with either.
///
/// # Errors
/// One line that names the file and says what is wrong.
pub(crate) fn read(path: &str) -> Result<Checkpoint, String> {
    let path = if Path::new(path).is_dir() { inside(Path::new(path))? } else { PathBuf::from(path) };
    let file = named(&path);
    if file.ends_with(".json") {
        return sharded(&path, file);
    }
    let tensors = header::read(&path).map_err(|fault| format!("`{file}`: {fault}"))?;
    Ok(Checkpoint { file, files: 1, tensors: tensors.into_iter().collect() })
}

fn named(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

/// The checkpoint of a folder: the one with the usual name, or the only one there is.
fn inside(folder: &Path) -> Result<PathBuf, String> {
    for usual in ["model.safetensors", "model.safetensors.index.json"] {
        let path = folder.join(usual);
        if path.exists() {
            return Ok(path);
        }
    }
    let entries = fs::read_dir(folder)
        .map_err(|error| format!("`{}`: it cannot be read: {}", named(folder), words(&error)))?;
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let ends = |path: &PathBuf, end: &str| named(path).ends_with(end);
    found.retain(|path| ends(path, ".safetensors") || ends(path, ".safetensors.index.json"));
    found.sort();
    // An index stands for the files beside it.
    let indices = found.iter().filter(|path| ends(path, ".json")).count();
    if indices == 1 {
        found.retain(|path| ends(path, ".json"));
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(format!("`{}`: no safetensors file is in this folder", named(folder))),
        [first, ..] => Err(format!(
            "`{}`: {} are in this folder, and none is an index of all; name one, such as `{}`",
            named(folder),
            plural(found.len(), "safetensors file"),
            named(first)
        )),
    }
}

/// A checkpoint in several files.
fn sharded(path: &Path, file: String) -> Result<Checkpoint, String> {
    let fault = |fault: String| format!("`{file}`: {fault}");
    let index = index(path).map_err(fault)?;
    let mut shards: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (tensor, shard) in &index.weight_map.0 {
        shards.entry(shard).or_default().insert(tensor);
    }
    if shards.is_empty() {
        return Err(fault("it lists no tensor".to_owned()));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut tensors = BTreeMap::new();
    for (&shard, listed) in &shards {
        // The name must stay inside of the folder; a link may lead out, as in the cache of Hugging Face.
        let plain = Path::new(shard).components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || shard.is_empty() || shard.contains(['\\', '\0']) {
            let shard = shortened(shard, 120);
            return Err(fault(format!("it names the file `{shard}`, which is no place below its folder")));
        }
        let path = folder.join(shard);
        let name = named(&path);
        let stored =
            header::read(&path).map_err(|fault| format!("`{name}`: {fault}; the index `{file}` lists it"))?;
        let count = stored.len();
        for (tensor, info) in stored {
            if !listed.contains(tensor.as_str()) {
                let tensor = shortened(&tensor, 120);
                return Err(format!("`{name}`: it has `{tensor}`, which `{file}` does not list for it"));
            }
            tensors.insert(tensor, info);
        }
        if count != listed.len() {
            let missing = listed.iter().find(|tensor| !tensors.contains_key(**tensor));
            let missing = shortened(missing.unwrap_or(&""), 120);
            return Err(format!("`{name}`: it has no `{missing}`, which `{file}` lists for it"));
        }
    }
    let bytes: u128 = tensors.values().map(|info| (info.data_offsets.1 - info.data_offsets.0) as u128).sum();
    if let Some(total) = index.metadata.and_then(|metadata| metadata.total_size) {
        let same = total.as_u64().map(u128::from) == Some(bytes) || total.as_f64() == Some(bytes as f64);
        if !same {
            return Err(fault(format!("its `total_size` is {total}, and the tensors have {bytes} bytes")));
        }
    }
    Ok(Checkpoint { files: shards.len(), tensors, file })
}

fn index(path: &Path) -> Result<Index, String> {
    let (file, length) = header::open(path)?;
    if length > MAX_HEADER_BYTES {
        return Err(format!("it has {length} bytes, and at most {MAX_HEADER_BYTES} are read"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_HEADER_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("it cannot be read: {}", words(&error)))?;
    if bytes.is_empty() {
        return Err("it is empty".to_owned());
    }
    let text = str::from_utf8(&bytes).map_err(|error| {
        format!("it is not UTF-8: byte {} is no part of a character", error.valid_up_to())
    })?;
    serde_json::from_str(text).map_err(|error| header::json_words("index", &error))
}

/// An index as transformers writes it.
#[derive(Deserialize)]
struct Index {
    metadata: Option<IndexMetadata>,
    weight_map: WeightMap,
}

#[derive(Deserialize)]
struct IndexMetadata {
    total_size: Option<serde_json::Number>,
}

/// Tensors with their files. A map would hide that a tensor stands twice.
struct WeightMap(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WeightMap, D::Error> {
        deserializer.deserialize_map(WeightMapVisitor)
    }
}

struct WeightMapVisitor;

impl<'de> Visitor<'de> for WeightMapVisitor {
    type Value = WeightMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the file of each tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<WeightMap, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((tensor, shard)) = entries.next_entry::<String, String>()? {
            if map.contains_key(&tensor) {
                let tensor = shortened(&tensor, 120);
                return Err(A::Error::custom(format!("`{tensor}` stands twice in it")));
            }
            map.insert(tensor, shard);
        }
        Ok(WeightMap(map))
    }
}

//! The header of a safetensors file: eight bytes with the length N, then N bytes of JSON. The data behind it, which may
//! be hundreds of gigabytes, is never read; its length is held against what the header says.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::load::words;
use crate::render::shortened;

/// The longest header that is read, as the crate has it.
pub(super) const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The tensors of a file with their names, in the order of their data.
///
/// # Errors
/// What is wrong with the file, in words that follow its name.
pub(super) fn read(path: &Path) -> Result<Vec<(String, TensorInfo)>, String> {
    let (mut file, length) = open(path)?;
    let header = header(&mut file, length)?;
    let text = str::from_utf8(&header)
        .map_err(|error| format!("its header is not UTF-8: byte {}", error.valid_up_to() + 8))?;
    let Entries(mut tensors) = serde_json::from_str(text).map_err(|error| json_words("header", &error))?;
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    if Metadata::new(None, tensors.clone()).is_err() {
        return Err(fault(&tensors));
    }
    let data = length - 8 - header.len() as u64;
    let end = tensors.iter().map(|(_, info)| info.data_offsets.1 as u64).max().unwrap_or(0);
    match end.cmp(&data) {
        std::cmp::Ordering::Equal => Ok(tensors),
        std::cmp::Ordering::Greater => {
            Err(format!("it is cut off: its tensors take {end} bytes, and {data} are there"))
        }
        std::cmp::Ordering::Less => {
            Err(format!("it has {} bytes behind its last tensor, which belong to none", data - end))
        }
    }
}

/// Opens a regular file, and tells its length.
///
/// # Errors
/// What is wrong, in words that follow the file's name. What is no file is not opened: a pipe would wait for a writer.
pub(super) fn open(path: &Path) -> Result<(File, u64), String> {
    let refusal = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => "there is no such file".to_owned(),
        _ => format!("it cannot be read: {}", words(&error)),
    };
    let metadata = fs::metadata(path).map_err(refusal)?;
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    Ok((File::open(path).map_err(refusal)?, metadata.len()))
}

fn header(file: &mut File, length: u64) -> Result<Vec<u8>, String> {
    if length == 0 {
        return Err("it is empty".to_owned());
    }
    let mut size = [0_u8; 8];
    if length < 8 {
        return Err(format!("it has {length} bytes, and a safetensors file begins with 8 that are a length"));
    }
    let failure = |error: std::io::Error| format!("it cannot be read: {}", words(&error));
    file.read_exact(&mut size).map_err(failure)?;
    let size = u64::from_le_bytes(size);
    if size > MAX_HEADER_BYTES {
        return Err(format!("its header would have {size} bytes, and the format allows {MAX_HEADER_BYTES}"));
    }
    if size > length - 8 {
        return Err(format!("it is cut off: its header has {size} bytes, and {} are there", length - 8));
    }
    let mut header = Vec::new();
    file.take(size).read_to_end(&mut header).map_err(failure)?;
    if header.len() as u64 != size {
        return Err("it became shorter while it was read".to_owned());
    }
    Ok(header)
}

/// What a JSON reader says, without what only programmers want to know.
pub(super) fn json_words(part: &str, error: &serde_json::Error) -> String {
    let text = error.to_string();
    let said = text.split(" at line ").next().unwrap_or_default();
    let place = format!("line {}, column {}", error.line(), error.column());
    if error.is_data() {
        format!("its {part} is wrong: {said} ({place})")
    } else {
        format!("its {part} is not JSON: {said} ({place})")
    }
}

/// Which of the rules of the format the tensors break, which are sorted by their offsets.
fn fault(tensors: &[(String, TensorInfo)]) -> String {
    let mut at = 0;
    let mut before = None;
    for (name, info) in tensors {
        let (start, end) = info.data_offsets;
        let name = shortened(name, 120);
        if end < start {
            return format!("the data of `{name}` end at {end}, before they start at {start}");
        }
        let Some(bytes) = bytes(info) else {
            return format!(
                "`{name}` has a shape of more values than can be counted: {:?}",
                Shape(&info.shape)
            );
        };
        match bytes {
            bytes if bytes % 8 != 0 => return format!("`{name}` is no whole number of bytes"),
            bytes if bytes / 8 != (end - start) as u128 => {
                let (bytes, shape, dtype) = (bytes / 8, Shape(&info.shape), info.dtype);
                return format!("`{name}` has {} bytes, and {shape:?} of {dtype} are {bytes}", end - start);
            }
            _ => {}
        }
        match (start.cmp(&at), before) {
            (std::cmp::Ordering::Less, Some(before)) => {
                return format!("the data of `{name}` overlap those of `{before}`");
            }
            (std::cmp::Ordering::Greater, _) => {
                return format!("there is a gap of {} bytes before the data of `{name}`", start - at);
            }
            _ => {}
        }
        at = end;
        before = Some(name);
    }
    "its header breaks the format".to_owned()
}

/// Bits of a tensor, as its shape and type say; `None` beyond what a file can have.
fn bytes(info: &TensorInfo) -> Option<u128> {
    let values = info.shape.iter().try_fold(1_usize, |product, &side| product.checked_mul(side))?;
    Some(values.checked_mul(info.dtype.bitsize())? as u128)
}

/// A shape as it is written in messages: `[4096, 128]`, however many sides it has.
struct Shape<'s>(&'s [usize]);

impl fmt::Debug for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(8)];
        let more = if self.0.len() > shown.len() { ", …" } else { "" };
        let sides: Vec<String> = shown.iter().map(usize::to_string).collect();
        write!(f, "[{}{more}]", sides.join(", "))
    }
}

/// The entries of a header. A map would hide that a name stands twice.
struct Entries(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a key for each tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Entries, A::Error> {
        let mut tensors = BTreeMap::new();
        let mut described = false;
        while let Some(name) = entries.next_key::<String>()? {
            let twice = if name == "__metadata__" {
                entries.next_value::<BTreeMap<String, String>>()?;
                std::mem::replace(&mut described, true)
            } else {
                let info: TensorInfo = entries.next_value()?;
                tensors.insert(name.clone(), info).is_some()
            };
            if twice {
                return Err(A::Error::custom(format!("`{}` stands twice in it", shortened(&name, 120))));
            }
        }
        Ok(Entries(tensors.into_iter().collect()))
    }
}

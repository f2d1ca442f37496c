//! The built-in catalog: the files of `specs/`, embedded as they are.

/// A file of the catalog.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The kind of block it declares: `device`, `model`.
    pub kind: &'static str,
    /// The block's name, which is also the file's.
    pub name: &'static str,
    /// The text.
    pub text: &'static str,
}

impl Entry {
    /// How messages name the file: `catalog:devices/h100-sxm.llm`.
    pub fn source_name(&self) -> String {
        format!("catalog:{}s/{}.llm", self.kind, self.name)
    }
}

include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

/// A block of the catalog, by kind and name.
pub fn find(kind: &str, name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.kind == kind && entry.name == name)
}

/// The names of a kind, sorted.
pub fn names(kind: &str) -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().filter(move |entry| entry.kind == kind).map(|entry| entry.name)
}

/// The lowest and the highest list price of a device of the catalog, per hour; `None` where it has none.
pub fn list_prices(device: &str) -> Option<(f64, f64)> {
    let text = find("device", device)?.text;
    let price = |name: &str| {
        // Files of the catalog are formatted: `price_low = $1.99 / h` is a line of its own.
        let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(" = $"))?;
        value.strip_suffix(" / h")?.parse::<f64>().ok()
    };
    Some((price("price_low")?, price("price_high")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_price_is_read() {
        assert_eq!(list_prices("h100-sxm"), Some((1.99, 5.0)));
        assert_eq!((list_prices("l40s"), list_prices("no-such-device")), (None, None));
        let listed = ENTRIES.iter().filter(|own| own.kind == "device" && own.text.contains("price_low"));
        for own in listed {
            assert!(
                list_prices(own.name).is_some_and(|(low, high)| 0.0 < low && low <= high),
                "{}",
                own.name
            );
        }
    }
}

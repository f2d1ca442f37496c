//! The weights of an operator: pseudo-random numbers that depend on nothing but where they belong.

use llmplan_analysis::graph::{Kind, Operator, Tensor};

/// The tensors of one operator in one run of its block.
pub(crate) struct Weights(Vec<(&'static str, Vec<f32>)>);

impl Weights {
    /// Allocates the tensors of an operator. Their values depend on the place of the block in the order of execution
    /// and on the names of operator and tensor, and not on what else the model has: what two models share is equal.
    pub(crate) fn allocate(operator: &Operator, occurrence: u64) -> Option<Weights> {
        let tensors = operator.weights.iter().map(|tensor| {
            let mut noise = Noise::of(occurrence, operator.name, tensor.name);
            let (centre, spread) = distribution(operator, tensor);
            let length = usize::try_from(tensor.elements()?).ok()?;
            Some((tensor.name, (0..length).map(|_| centre + spread * noise.next()).collect()))
        });
        tensors.collect::<Option<Vec<_>>>().map(Weights)
    }

    /// Tensors of given values.
    #[cfg(test)]
    pub(crate) fn of(tensors: &[(&'static str, &[f32])]) -> Weights {
        Weights(tensors.iter().map(|(name, values)| (*name, values.to_vec())).collect())
    }

    /// How many values each tensor has, in the order of the operator's.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|(_, values)| values.len())
    }

    /// The values of each tensor, in the order of the operator's.
    pub(crate) fn into_values(self) -> impl Iterator<Item = Vec<f32>> {
        self.0.into_iter().map(|(_, values)| values)
    }

    /// A tensor with so many values; `None` where there is none of that name and length.
    pub(crate) fn get(&self, name: &str, length: usize) -> Option<&[f32]> {
        self.find(name).filter(|values| values.len() == length)
    }

    /// A tensor that may be left out; `None` where it is there with another length.
    pub(crate) fn optional(&self, name: &str, length: usize) -> Option<Option<&[f32]>> {
        match self.find(name) {
            None => Some(None),
            Some(values) => (values.len() == length).then_some(Some(values)),
        }
    }

    /// A tensor of any length.
    pub(crate) fn find(&self, name: &str) -> Option<&[f32]> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, values)| values.as_slice())
    }
}

/// Centre and half-width of a tensor's values. Products keep the size of what goes in (Glorot 2010); scales lie
/// around one.
fn distribution(operator: &Operator, tensor: &Tensor) -> (f32, f32) {
    match (operator.kind, tensor.name) {
        (Kind::Norm { .. }, "weight") | (_, "d") => (1.0, 0.2),
        (Kind::Gather { .. } | Kind::AddPosition { .. } | Kind::Convolve { .. }, "weight") => (0.0, 1.0),
        (_, "weight") => (0.0, (3.0 / tensor.rows as f32).sqrt()),
        _ => (0.0, 0.5),
    }
}

/// Numbers in -1..1.
struct Noise(u64);

impl Noise {
    /// The numbers of a tensor: its names hashed by FNV-1a.
    fn of(occurrence: u64, operator: &str, tensor: &str) -> Noise {
        let place = occurrence.to_le_bytes();
        let bytes = place.iter().chain(operator.as_bytes()).chain(b"/").chain(tensor.as_bytes());
        Noise(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    /// The next number, by SplitMix64 (Steele 2014).
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is how a test fails
mod tests {
    use llmplan_analysis::graph::{Component, Value};

    use super::*;

    /// A tensor has the same values wherever its place is the same, and others everywhere else.
    #[test]
    fn weights_depend_on_their_place_alone() {
        let vector = |name| Tensor { name, copies: 1, rows: 1, columns: 9, trained: true };
        let allocated = |name, tensors: &[&'static str], occurrence| {
            let operator = Operator {
                name,
                component: Component::Recurrence,
                kind: Kind::Add { width: 9 },
                inputs: Vec::new(),
                output: Value(1),
                weights: tensors.iter().map(|name| vector(name)).collect(),
            };
            Weights::allocate(&operator, occurrence).unwrap()
        };
        let get = |weights: &Weights, name| weights.get(name, 9).unwrap().to_vec();
        let all = allocated("scan", &["a_log", "dt_bias"], 3);
        assert_eq!(get(&all, "dt_bias"), get(&allocated("scan", &["dt_bias"], 3), "dt_bias"));
        assert_ne!(get(&all, "dt_bias"), get(&all, "a_log"));
        assert_ne!(get(&all, "dt_bias"), get(&allocated("scan", &["dt_bias"], 4), "dt_bias"));
        assert_ne!(get(&all, "dt_bias"), get(&allocated("rule", &["dt_bias"], 3), "dt_bias"));
        assert!(get(&all, "a_log").iter().all(|value| value.abs() <= 0.5));
    }
}

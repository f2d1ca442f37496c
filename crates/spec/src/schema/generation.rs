//! The `generation` block: what devices of one generation reach of their data sheets.

use super::blocks::{attribute, count};
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::Unit;

/// The block.
pub(super) const GENERATION: BlockSchema = BlockSchema {
    kind: "generation",
    doc: "What devices of one generation reach of their data sheets. The catalog's constants are fitted to published runs, \
          or assumed; `source` says which. Step times that no `mfu` is declared for rest on them.",
    naming: Naming::Required,
    presence: Presence::Always,
    attributes: &[
        share("matmul", "Share of the dense peak that large products reach in 16 or more bits."),
        share("matmul_fp8", "Share of the fp8 peak that large products reach, quantization included."),
        share("matmul_fp4", "Share of the fp4 peak that large products reach, quantization included."),
        attribute(
            "depth",
            Type::Factor(0.0),
            Default::Required,
            "Inner dimension at which a product reaches half of what large ones do.",
        ),
        count(
            "processors",
            None,
            0,
            Default::Value("0", "products are not cut into tiles"),
            "Units that compute tiles of a product at the same time; 0 where there are none to count.",
        ),
        count(
            "tile_rows",
            None,
            1,
            Default::Value("128", "what libraries choose for large products"),
            "Rows of a tile.",
        ),
        count(
            "tile_columns",
            None,
            1,
            Default::Value("128", "what libraries choose for large products"),
            "Columns of a tile.",
        ),
        share("attention_forward", "Share of the 16-bit peak that attention reaches forward, in one kernel."),
        share("attention_backward", "The same backward, for the five products that it runs."),
        share("memory", "Share of the memory's bandwidth that pointwise kernels reach."),
        time("launch", "From the start of one short kernel to that of the next."),
        share("link", "Share of the bandwidth within a node that collectives reach."),
        time("link_latency", "Time of each step of a collective within a node."),
        share("network", "Share of the bandwidth between nodes that collectives reach."),
        time("network_latency", "Time of each step of a collective between nodes."),
        attribute(
            "error",
            Type::Share { positive: false },
            Default::Absent("the error of step times is unknown"),
            "Mean absolute error of step times over published runs that the constants were not fitted to.",
        ),
        attribute(
            "source",
            Type::Text,
            Default::Absent("no source is named"),
            "Where the constants are from.",
        ),
    ],
    blocks: &[],
    aliases: &["microarchitecture"],
};

const fn share(name: &'static str, doc: &'static str) -> Attribute {
    attribute(name, Type::Share { positive: true }, Default::Required, doc)
}

const fn time(name: &'static str, doc: &'static str) -> Attribute {
    attribute(name, Type::Amount(Unit::TIME), Default::Required, doc)
}

//! The device of a cluster.

use super::{Builder, Typed};
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::{Device, DeviceKind, Generation, Operation, Peak};
use crate::schema;
use crate::units::format::{self, BytePrefix};
use crate::units::{Date, Number, Unit};

impl Builder<'_> {
    /// The device that the hardware names.
    pub(super) fn device(&mut self) -> Option<Device> {
        self.prices();
        let kind = match self.word("device.kind")?.as_str() {
            "host" => DeviceKind::Host,
            _ => DeviceKind::Accelerator,
        };
        Some(Device {
            name: self.word("hardware.device")?,
            kind,
            memory: self.bytes("device.memory"),
            memory_bandwidth: self.amount("device.memory_bandwidth"),
            devices_per_node: self.count("device.devices_per_node")?,
            link: self.amount("device.link"),
            network: self.amount("device.network"),
            host_link: self.amount("device.host_link"),
            host_memory: self.bytes("device.host_memory"),
            host_memory_bandwidth: self.amount("device.host_memory_bandwidth"),
            disk_bandwidth: self.amount("device.disk_bandwidth"),
            power: self.amount("device.power"),
            price_low: self.amount("device.price_low"),
            price_high: self.amount("device.price_high"),
            price_as_of: self.date("device.price_as_of"),
            peak: Peak {
                fp32: self.amount("device.peak.fp32"),
                tf32: self.amount("device.peak.tf32"),
                fp16: self.amount("device.peak.fp16"),
                bf16: self.amount("device.peak.bf16"),
                fp8: self.amount("device.peak.fp8"),
                fp4: self.amount("device.peak.fp4"),
                int8: self.amount("device.peak.int8"),
            },
            generation: self.generation()?,
        })
    }

    /// What the device reaches of its figures.
    fn generation(&mut self) -> Option<Generation> {
        if let Some(schema) = schema::block("generation") {
            self.visit(schema, "generation".to_owned());
        }
        let mut share = |name: &str| self.share(&format!("generation.{name}"));
        let (matmul, matmul_fp8, matmul_fp4) = (share("matmul")?, share("matmul_fp8")?, share("matmul_fp4")?);
        let (attention_forward, attention_backward) =
            (share("attention_forward")?, share("attention_backward")?);
        let (memory, link, network) = (share("memory")?, share("link")?, share("network")?);
        let error = share("error").unwrap_or(0.0);
        Some(Generation {
            name: self.word("device.generation")?,
            matmul,
            matmul_fp8,
            matmul_fp4,
            depth: self.factor("generation.depth")?,
            processors: self.count("generation.processors")?,
            tile_rows: self.count("generation.tile_rows")?,
            tile_columns: self.count("generation.tile_columns")?,
            attention_forward,
            attention_backward,
            memory,
            launch: self.amount("generation.launch")?,
            link,
            link_latency: self.amount("generation.link_latency")?,
            network,
            network_latency: self.amount("generation.network_latency")?,
            error,
        })
    }

    /// How the cluster is run.
    pub(super) fn operation(&mut self) -> Option<Operation> {
        Some(Operation {
            reserve: self.bytes("hardware.reserve")?,
            fragmentation: self.share("hardware.fragmentation")?,
            mtbf: self.amount("hardware.mtbf")?,
            restart: self.amount("hardware.restart")?,
            storage_bandwidth: self.amount("hardware.storage_bandwidth")?,
            checkpoints: self.count("hardware.checkpoints")?,
            storage_price: self.amount("hardware.storage_price"),
            stragglers: self.share("hardware.stragglers")?,
            utilization: self.share("hardware.utilization")?,
            host_power: self.factor("hardware.host_power")?,
            pue: self.factor("hardware.pue")?,
            carbon: self.amount("hardware.carbon")?,
        })
    }

    /// A range of prices begins with the lower one.
    fn prices(&mut self) {
        let (Some(low), Some(high)) = (self.amount("device.price_low"), self.amount("device.price_high"))
        else {
            return;
        };
        if low <= high {
            return;
        }
        let draft = self.values.draft;
        let place = |path: &str| {
            draft.attributes.get(path).map(|attribute| attribute.value.span().unwrap_or(attribute.span))
        };
        let shown =
            |price: f64| format::quantity(Number::Real(price), Unit::MONEY_PER_TIME, 4, BytePrefix::Decimal);
        let span = place("device.price_high").unwrap_or(draft.span);
        let mut diagnostic = Diagnostic::error(Code::OutOfRange, span, "`price_high` is below `price_low`")
            .label(format!("less than {}", shown(low)));
        if let Some(place) = place("device.price_low") {
            diagnostic = diagnostic.also(place, format!("more than {}", shown(high)));
        }
        self.values.found.push(diagnostic.help("write the smaller price as `price_low`"));
    }

    /// Whole bytes: of `2.3 GiB` a fraction of one is left out.
    pub(super) fn bytes(&mut self, path: &str) -> Option<u64> {
        match self.get(path) {
            Some(Typed::Amount(number)) => match number.count() {
                Some(bytes) => u64::try_from(bytes).ok(),
                // Beyond 64 bits this is the greatest number.
                None => Some(number.real() as u64),
            },
            _ => None,
        }
    }

    /// The value of an attribute that is a date.
    pub(super) fn date(&mut self, path: &str) -> Option<Date> {
        match self.get(path) {
            Some(Typed::Date(date)) => Some(date),
            _ => None,
        }
    }
}

//! The counting allocator counts what is asked for. One test in one binary: the counters belong to the whole process.

use std::hint::black_box;

use candle_core::{DType, Device, Tensor};
use llmplan_exec::meter::Meter;
use llmplan_exec::meter::allocator::{Counting, installed, live, peak, reset_peak};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: u64 = 1 << 20;
/// What the test harness may allocate meanwhile.
const SLACK: u64 = MIB / 8;

fn near(bytes: u64, expected: u64) -> bool {
    bytes.abs_diff(expected) <= SLACK
}

#[test]
fn live_and_peak_follow_every_way_to_allocate() {
    assert!(installed());
    let before = live();
    reset_peak();
    assert!(near(peak(), before));

    // alloc, and freed again.
    drop(black_box(Vec::<u8>::with_capacity(64 << 20)));
    assert!(near(live(), before), "{before} {}", live());
    assert!(near(peak(), before + 64 * MIB), "{before} {}", peak());

    // The peak stays until it is reset.
    reset_peak();
    assert!(near(peak(), before));

    // alloc_zeroed.
    let zeroed = black_box(vec![0_u8; 32 << 20]);
    assert!(near(live(), before + 32 * MIB));

    // realloc, both ways: what is counted is the new size, not both.
    let mut grown = zeroed;
    grown.reserve_exact(64 << 20);
    assert!(near(live(), before + 96 * MIB));
    grown.truncate(8 << 20);
    grown.shrink_to_fit();
    black_box(&grown);
    assert!(near(live(), before + 8 * MIB));
    assert!(near(peak(), before + 96 * MIB));

    // Freed on another thread.
    std::thread::spawn(move || drop(grown)).join().unwrap();
    assert!(near(live(), before));

    // A tensor, through the meter of its device.
    let meter = Meter::of(&Device::Cpu).unwrap();
    meter.reset_peak().unwrap();
    let tensor = Tensor::zeros((1024, 1024), DType::BF16, &Device::Cpu).unwrap();
    assert!(near(meter.live().unwrap(), before + 2 * MIB));
    drop(tensor);
    assert!(near(meter.live().unwrap(), before));
    assert!(near(meter.peak().unwrap(), before + 2 * MIB));
}

//! How much memory a device has left.

use std::fs;
use std::path::{Component, Path, PathBuf};

use candle_core::Device;

/// The bytes that could be allocated on a device now. CPU: what Linux calls available, and no more than the control
/// groups of this process leave it. CUDA: what the driver calls free; a pool that keeps freed memory is not free. `None`
/// where nobody tells: on other systems, and on Metal.
pub fn available_memory(device: &Device) -> Option<u64> {
    match device {
        Device::Cpu => {
            let machine = available(&fs::read_to_string("/proc/meminfo").ok()?)?;
            let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            let left =
                folders(&groups, Path::new("/sys/fs/cgroup")).iter().filter_map(|folder| left(folder)).min();
            Some(left.map_or(machine, |left| left.min(machine)))
        }
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => {
            let (free, _) = device.cuda_stream().context().mem_get_info().ok()?;
            u64::try_from(free).ok()
        }
        _ => None,
    }
}

/// `MemAvailable` of `/proc/meminfo`: free memory, and what the system would give up for it.
fn available(meminfo: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    value.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

/// The folders under `root` that may limit the memory of a process, by its `/proc/self/cgroup`: the group that it is in
/// and every one around it. In a container the group's own path may lead nowhere, and the root is the container's.
fn folders(groups: &str, root: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let root = match controllers {
            "" => root.to_owned(),
            controllers if controllers.split(',').any(|name| name == "memory") => root.join("memory"),
            _ => continue,
        };
        let path = Path::new(path.trim_start_matches('/'));
        if path.components().all(|part| matches!(part, Component::Normal(_))) {
            folders.extend(path.ancestors().map(|ancestor| root.join(ancestor)));
        }
    }
    folders
}

/// What the control group of a folder leaves: its limit without what is used, where it has a limit. Pages of files that
/// were not touched lately count as used, but are given up first; they are left.
fn left(folder: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let statistic = |name: &str| {
        let text = read("memory.stat")?;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<u64>().ok())
    };
    let (limit, used, pages) = match number("memory.max") {
        // Version 2; no limit is the word `max`.
        Some(limit) => (limit, number("memory.current")?, statistic("inactive_file")),
        // Version 1; no limit is a number beyond every machine.
        None => (
            number("memory.limit_in_bytes")?,
            number("memory.usage_in_bytes")?,
            statistic("total_inactive_file"),
        ),
    };
    Some(limit.saturating_sub(used.saturating_sub(pages.unwrap_or(0))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is how a test fails
mod tests {
    use super::*;

    #[test]
    fn what_is_available_is_read() {
        let text = "MemTotal:       24684084 kB\nMemFree:        11898624 kB\nMemAvailable:   22994248 kB\n";
        assert_eq!(available(text), Some(22_994_248 * 1024));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        assert_eq!(available("MemAvailable: many kB\n"), None);
    }

    #[test]
    fn every_group_around_a_process_counts() {
        let root = Path::new("groups");
        let second = folders("0::/user/me\n", root);
        assert_eq!(second, ["groups/user/me", "groups/user", "groups/"].map(PathBuf::from));
        let first = folders("9:name=systemd:/\n4:cpu,memory:/box\n3:cpuset:/box\n", root);
        assert_eq!(first, ["groups/memory/box", "groups/memory/"].map(PathBuf::from));
        assert_eq!(folders("0::/../../x\nnonsense\n", root), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_group_leaves_its_limit_without_what_is_used() {
        let folder = std::env::temp_dir().join(format!("llmplan-groups-{}", std::process::id()));
        let write = |name: &str, text: &str| {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(name), text).unwrap();
        };
        assert_eq!(left(&folder), None);

        write("memory.limit_in_bytes", "1000\n");
        write("memory.usage_in_bytes", "700\n");
        assert_eq!(left(&folder), Some(300));
        write("memory.stat", "inactive_file 1\ntotal_inactive_file 200\n");
        assert_eq!(left(&folder), Some(500));
        fs::remove_dir_all(&folder).unwrap();

        write("memory.max", "max\n");
        write("memory.current", "400\n");
        assert_eq!(left(&folder), None);
        write("memory.max", "1000\n");
        assert_eq!(left(&folder), Some(600));
        write("memory.stat", "inactive_file 100\n");
        assert_eq!(left(&folder), Some(700));
        write("memory.current", "2000\n");
        assert_eq!(left(&folder), Some(0));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_tells_what_is_available() {
        assert!(available_memory(&Device::Cpu).unwrap() > 0);
    }
}

//! Firmware to 64 BMCs beside curl sending the same bytes to the same URIs, and to many slow BMCs
//! beside one of them.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use scenarios::fleet::{Fleet, PASSWORD};
use simulators::{Activation, Config, Fault, Flavour, Group, Rule};

use crate::measure::{children_cpu, median};

const ROUNDS: usize = 5;
const BMCS: usize = 64;
const SIZE: usize = 32 << 20;
/// The other part: so many, each so slow (the archive takes half a minute). What the BMCs' side of TLS
/// costs is in the wall time.
const SLOW: usize = 100;
const RATE: usize = 100_000;
const SLOW_SIZE: usize = 3_000_000;

/// All of it.
pub(crate) fn run() {
    beside_curl();
    many_slow_ones();
}

/// BMCs that have unpacked and written an archive as soon as it is there: what is measured is our side.
fn fleet(count: usize, net: u8) -> Fleet {
    let group = Group {
        flavour: Flavour::Bmcweb2026,
        count,
        first: Ipv4Addr::new(127, 61, net, 1),
        port: 4431,
        image_limit: Some(1 << 30),
        ..Group::default()
    };
    Fleet::new(Config {
        groups: vec![group],
        scale: 1000.0,
        log_requests: false,
        ..Config::default()
    })
}

/// Wall and CPU seconds.
#[derive(Debug, Default)]
struct Taken {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

impl Taken {
    fn add(&mut self, command: &mut Command) {
        let (before, start) = (children_cpu(), Instant::now());
        let ended = command.stdin(Stdio::null()).output().expect("start");
        self.wall.push(start.elapsed().as_secs_f64());
        self.cpu.push(children_cpu() - before);
        assert!(
            ended.status.success(),
            "{command:?}: {}{}",
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&ended.stderr)
        );
    }

    fn medians(&mut self) -> (f64, f64) {
        (median(&mut self.wall), median(&mut self.cpu))
    }
}

fn beside_curl() {
    let fleet = fleet(BMCS, 1);
    let firmware = fleet.archives("b-2", "h-2", SIZE);
    let archive = firmware.join("bmc.tar");
    let config = fleet.cluster.path("curl.conf");
    std::fs::write(&config, curl_config(&fleet, &archive)).expect("config");
    // One of them for each xargs: the same words as a file of its own.
    for i in 0..BMCS {
        let one = fleet.cluster.path(&format!("curl-{i}.conf"));
        std::fs::write(one, curl_one(&fleet, &archive, i)).expect("config");
    }
    let (mut ours, mut parallel, mut xargs) =
        (Taken::default(), Taken::default(), Taken::default());
    for _ in 0..ROUNDS {
        until_idle(&fleet);
        ours.add(fleet.cluster.command("rflash").args([
            "all",
            "-u",
            archive.to_str().expect("path"),
            "--timeout",
            "poll=0.1",
        ]));
        until_idle(&fleet);
        parallel.add(
            Command::new("curl")
                .args([
                    "--parallel",
                    "--parallel-immediate",
                    "--parallel-max",
                    "64",
                    "-K",
                ])
                .arg(&config),
        );
        until_idle(&fleet);
        xargs.add(Command::new("sh").arg("-c").arg(format!(
            "seq 0 {} | xargs -P64 -I@ curl -K '{}/curl-@.conf'",
            BMCS - 1,
            fleet.cluster.root().display()
        )));
    }
    let (ours, parallel, xargs) = (ours.medians(), parallel.medians(), xargs.medians());
    println!(
        "flash: {BMCS} BMCs x {} MiB: rflash -u {:.2} s wall, {:.2} s CPU; curl --parallel {:.2} s, {:.2} s; xargs -P64 curl {:.2} s, {:.2} s",
        SIZE >> 20,
        ours.0,
        ours.1,
        parallel.0,
        parallel.1,
        xargs.0,
        xargs.1
    );
    for (what, ratio) in [("wall", ours.0 / parallel.0), ("CPU", ours.1 / parallel.1)] {
        println!(
            "flash: {what}: {ratio:.2} of curl --parallel (target 1.05: {})",
            if ratio <= 1.05 { "met" } else { "MISSED" }
        );
    }
}

/// Curl leaves when an archive is accepted; a BMC that still unpacks it refuses the next one.
fn until_idle(fleet: &Fleet) {
    let busy = |i| {
        let images = fleet.state(i).images;
        images.iter().any(|image| {
            let activation = image.activation;
            matches!(activation, Activation::NotReady | Activation::Activating)
        })
    };
    let end = Instant::now() + Duration::from_secs(60);
    while (0..BMCS).any(busy) {
        assert!(Instant::now() < end, "a BMC unpacks for a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The same parts that rflash sends, as curl's configuration.
fn curl_one(fleet: &Fleet, archive: &Path, i: usize) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        "insecure\nsilent\nshow-error\nfail\nuser = \"root:{PASSWORD}\"\n\
         url = \"https://{}/redfish/v1/UpdateService/update-multipart\"\n\
         form = \"UpdateParameters={{\\\"Targets\\\":[\\\"/redfish/v1/Managers/bmc\\\"],\\\"@Redfish.OperationApplyTime\\\":\\\"OnReset\\\"}};type=application/json\"\n\
         form = \"UpdateFile=@{};type=application/octet-stream\"\noutput = \"/dev/null\"\n",
        fleet.bmcs.address(i),
        archive.display()
    );
    text
}

fn curl_config(fleet: &Fleet, archive: &Path) -> String {
    let all: Vec<String> = (0..BMCS).map(|i| curl_one(fleet, archive, i)).collect();
    all.join("next\n")
}

fn many_slow_ones() {
    let fleet = fleet(SLOW, 2);
    let firmware = fleet.archives("b-2", "h-2", SLOW_SIZE);
    let archive = firmware.join("bmc.tar");
    let all: Vec<usize> = (0..SLOW).collect();
    let rate = RATE as f64 / 1000.0; // of a simulated second
    fleet
        .bmcs
        .faults(&all, Rule::from(Fault::UploadRate { rate }));
    let command = |nodes: &str| {
        let mut command = fleet.cluster.command("rflash");
        command.args([
            nodes,
            "-u",
            archive.to_str().expect("path"),
            "--timeout",
            "poll=0.1",
        ]);
        command
    };
    let (mut one, mut many) = (Taken::default(), Taken::default());
    let (mut memory, mut waiting) = (0.0, 0.0);
    for _ in 0..3 {
        one.add(&mut command("n1"));
        let (before, start) = (children_cpu(), Instant::now());
        let mut child = command("all")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("rflash");
        // In the middle of the uploads.
        std::thread::sleep(Duration::from_secs_f64(
            SLOW_SIZE as f64 / RATE as f64 / 2.0,
        ));
        memory = tree_memory(child.id());
        let (own, since) = (own_cpu(child.id()), Instant::now());
        std::thread::sleep(Duration::from_secs(5));
        waiting = (own_cpu(child.id()) - own) / since.elapsed().as_secs_f64();
        assert!(child.wait().expect("rflash").success());
        many.wall.push(start.elapsed().as_secs_f64());
        many.cpu.push(children_cpu() - before);
    }
    let (one, many) = (one.medians(), many.medians());
    let ratio = many.0 / one.0;
    println!(
        "flash: {SLOW} BMCs of {} kB/s (not 1,000 of 2.7 MB/s: these cores play the BMCs as well): {:.1} s wall, one of them {:.1} s: ratio {ratio:.2} (target 1.05: {}); {:.1} ms CPU and {:.0} KiB of memory per node",
        RATE / 1000,
        many.0,
        one.0,
        if ratio <= 1.05 { "met" } else { "MISSED" },
        many.1 / SLOW as f64 * 1e3,
        memory / SLOW as f64
    );
    println!(
        "flash: {:.2} % of a core for the parent while all of them are sent to (target 1: {})",
        waiting * 100.0,
        if waiting <= 0.01 { "met" } else { "MISSED" }
    );
}

/// CPU seconds of one process so far.
fn own_cpu(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit(") ").next().unwrap_or_default();
    // utime and stime, in hundredths of a second.
    let ticks = fields.split(' ').skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

/// Proportional memory of a process and its children, in KiB.
fn tree_memory(parent: u32) -> f64 {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let pids = children.unwrap_or_default();
    let own = parent.to_string();
    let all = pids.split_whitespace().chain([own.as_str()]);
    all.map(|pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("Pss:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        kib.unwrap_or(0.0)
    })
    .sum()
}

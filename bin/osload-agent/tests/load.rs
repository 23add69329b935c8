//! The agent against the real image server: what is on the disk afterwards, and what it says of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use disk_image::order::{DiskChoice, Order, Zero};
use support::{Answer, Image, MIB, NONCE, Node, Running, Server, have, marker, order, run};
use xcat_request::load::{Told, status};

#[test]
fn the_disk_is_the_image_and_the_master_knows() {
    let (node, image) = (Node::new(), Image::new(8, 1));
    let (order, disk) = (image.order(), node.disk("sda", 12));
    let server = Server::start(&image, &order);
    let ran = run(node.agent(&order, &[&server], &[&disk]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("osload-agent: image: 4 frames are on"),
        "{}",
        ran.stderr
    );
    assert!(image.is_on(&disk));
    let Told::SetUp(set_up) = node.master.next() else {
        panic!("a set-up comes first");
    };
    let told = &set_up.disks[0];
    assert_eq!((told.image.as_str(), told.name.as_str()), ("image", "sda"));
    let Told::Verdict(verdict) = node.master.next() else {
        panic!("then the verdict");
    };
    assert_eq!(
        (verdict.status, verdict.reason.as_str()),
        (status::LOADED, "")
    );
    assert_eq!(verdict.images[0].written, 4 << 20);
    // Once more: nothing is fetched, nothing is written, and it is said.
    let before = server.bytes.load(Ordering::Relaxed);
    assert_eq!(run(node.agent(&order, &[&server], &[&disk])).code, Some(0));
    assert_eq!(node.master.verdict().0, status::LOADED);
    let again = server.bytes.load(Ordering::Relaxed) - before;
    assert!(again < 64 << 10, "{again} bytes for an order and manifests");
}

#[test]
fn two_images_for_two_disks_and_never_for_one() {
    let (node, a, b) = (Node::new(), Image::new(4, 2), Image::new(6, 3));
    let named = |disk: &str| Some(DiskChoice::Name(disk.into()));
    let order = order(vec![
        a.wanted("a", named("sda")),
        b.wanted("b", named("sdb")),
    ]);
    let (first, second) = (node.disk("sda", 8), node.disk("sdb", 8));
    let servers = [&Server::start(&a, &order), &Server::start(&b, &order)];
    assert_eq!(
        run(node.agent(&order, &servers, &[&first, &second])).code,
        Some(0)
    );
    assert!(a.is_on(&first) && b.is_on(&second));
    assert_eq!(node.master.verdict().0, status::LOADED);
    let third = node.disk("sdc", 8);
    let link = node.dir.path().join("sdd");
    std::fs::hard_link(&third, &link).unwrap();
    let ran = run(node.agent(&order, &servers, &[&third, &link]));
    assert_eq!(ran.code, Some(1));
    assert_eq!(node.master.verdict().0, status::REFUSED);
    assert!(
        untouched(&third),
        "nothing is written before all disks are known"
    );
}

fn untouched(disk: &Path) -> bool {
    std::fs::read(disk)
        .unwrap()
        .iter()
        .all(|byte| *byte == 0xee)
}

#[test]
fn without_the_masters_agreement_nothing_is_touched() {
    let (node, image) = (Node::new(), Image::new(4, 4));
    let (order, disk) = (image.order(), node.disk("sda", 8));
    let server = Server::start(&image, &order);
    node.master.answers(Answer::Refused);
    let ran = run(node.agent(&order, &[&server], &[&disk]));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("no such claim"), "{}", ran.stderr);
    assert!(untouched(&disk));
    assert!(matches!(node.master.next(), Told::SetUp(_)));
    assert_eq!(node.master.verdict().0, status::CANCELLED);
}

#[test]
fn an_order_that_is_not_the_boot_targets_is_not_done() {
    let (node, image) = (Node::new(), Image::new(4, 5));
    let disk = node.disk("sda", 8);
    let other = Order::new(NONCE, image.order().images, Vec::new(), Zero::All, 600).unwrap();
    let server = Server::start(&image, &other);
    let ran = run(node.agent(&image.order(), &[&server], &[&disk]));
    assert_eq!(ran.code, Some(1));
    assert!(untouched(&disk));
    let (number, reason) = node.master.verdict();
    assert_eq!(number, status::IMAGE);
    assert!(reason.contains("/v1/order/"), "{reason}");
}

#[test]
fn one_bad_frame_is_not_loaded_and_not_bootable() {
    let (node, mut image) = (Node::new(), Image::new(8, 6));
    let (order, disk) = (image.order(), node.disk("sda", 12));
    let mut object = image.object.to_vec();
    let middle = object.len() / 2;
    object[middle] ^= 1;
    image.object = object.into();
    let server = Server::start(&image, &order);
    let ran = run(node.agent(&order, &[&server], &[&disk]));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(node.master.verdict().0, status::IMAGE);
    assert!(marker(&disk).is_some());
}

#[test]
fn a_server_that_dies_is_followed_by_another() {
    let (node, image) = (Node::new(), Image::new(24, 7));
    let (order, disk) = (image.order(), node.disk("sda", 25));
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::with(&image, &order, any, Some(6 << 20));
    let address = server.address;
    let mut agent = Running::start(&mut node.agent(&order, &[&server], &[&disk]));
    server.gave(4 << 20);
    drop(server);
    assert!(marker(&disk).is_some(), "half written");
    let _server = Server::with(&image, &order, address, None);
    assert_eq!(node.master.verdict().0, status::LOADED);
    assert!(agent.0.wait().unwrap().success());
    assert!(image.is_on(&disk));
}

#[test]
fn an_agent_that_is_killed_half_way_goes_on_where_it_was() {
    let (node, image) = (Node::new(), Image::new(24, 8));
    let (order, disk) = (image.order(), node.disk("sda", 25));
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::with(&image, &order, any, Some(6 << 20));
    let mut agent = Running::start(&mut node.agent(&order, &[&server], &[&disk]));
    server.gave(7 << 20);
    agent.kill();
    let at_the_kill = server.bytes.load(Ordering::Relaxed);
    drop(server);
    assert!(marker(&disk).is_some(), "a reboot now boots nothing");
    let server = Server::start(&image, &order);
    let ran = run(node.agent(&order, &[&server], &[&disk]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(image.is_on(&disk) && marker(&disk).is_none());
    assert_eq!(node.master.verdict().0, status::LOADED);
    let second = server.bytes.load(Ordering::Relaxed);
    let whole = image.object.len() as u64;
    assert!(
        second < whole - (2 << 20),
        "{second} of {whole} again, after {at_the_kill}"
    );
}

#[test]
fn a_claim_that_is_gone_ends_the_load() {
    let (node, image) = (Node::new(), Image::new(24, 9));
    let (order, disk) = (image.order(), node.disk("sda", 25));
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::with(&image, &order, any, Some(4 << 20));
    let _agent = Running::start(&mut node.agent(&order, &[&server], &[&disk]));
    server.gave(2 << 20);
    server.shut.store(true, Ordering::Relaxed);
    assert_eq!(node.master.verdict().0, status::CANCELLED);
    assert!(marker(&disk).is_some());
}

#[test]
fn somebody_elses_disk_is_kept_unless_the_order_says_otherwise() {
    let (node, image) = (Node::new(), Image::new(4, 10));
    let disk = node.disk("sda", 8);
    let mut bytes = std::fs::read(&disk).unwrap();
    bytes[512..520].copy_from_slice(b"LABELONE");
    bytes[536..544].copy_from_slice(b"LVM2 001");
    std::fs::write(&disk, &bytes).unwrap();
    let order = image.order();
    let server = Server::start(&image, &order);
    assert_eq!(run(node.agent(&order, &[&server], &[&disk])).code, Some(1));
    let (number, reason) = node.master.verdict();
    assert_eq!(number, status::REFUSED);
    assert!(reason.contains("holds LVM2_member"), "{reason}");
    assert!(std::fs::read(&disk).unwrap() == bytes);
    drop(server);
    let overwrite = vec!["lvm2_member".to_string()];
    let order = Order::new(NONCE, order.images, overwrite, Zero::Rest, 600).unwrap();
    let server = Server::start(&image, &order);
    assert_eq!(run(node.agent(&order, &[&server], &[&disk])).code, Some(0));
    assert!(image.is_on(&disk));
    assert!(
        std::fs::read(&disk).unwrap()[4 * MIB..]
            .iter()
            .all(|byte| *byte == 0)
    );
}

#[test]
fn a_disk_that_is_too_small_or_away_is_refused() {
    let (node, image) = (Node::new(), Image::new(4, 11));
    let (order, small) = (image.order(), node.disk("sda", 3));
    let server = Server::start(&image, &order);
    for (disk, why) in [
        (
            small.as_path(),
            "is too small: 3145728 bytes, the image has 4194304",
        ),
        (Path::new("/nonexistent/sda"), "cannot be taken"),
        (
            Path::new("/dev/null"),
            "is neither a block device nor a regular file",
        ),
    ] {
        assert_eq!(run(node.agent(&order, &[&server], &[disk])).code, Some(1));
        let (number, reason) = node.master.verdict();
        assert_eq!(number, status::REFUSED, "{reason}");
        assert!(reason.contains(why), "{reason}");
    }
    assert!(untouched(&small));
}

/// On a node with one iSCSI disk and one stick there is nothing to be taken.
#[test]
fn without_a_candidate_the_disks_are_told() {
    let (node, image) = (Node::new(), Image::new(4, 12));
    let order = image.order();
    let server = Server::start(&image, &order);
    let block = node.dir.path().join("sys/block");
    std::fs::create_dir_all(&block).unwrap();
    for (name, place) in [
        ("sda", "platform/host3/session1/target3:0:0/3:0:0:0"),
        (
            "sdb",
            "pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host6/target6:0:0/6:0:0:0",
        ),
    ] {
        let path = format!("devices/{place}/block/{name}");
        let dir = node.dir.path().join("sys").join(&path);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("size"), "20480\n").unwrap();
        std::os::unix::fs::symlink(format!("../{path}"), block.join(name)).unwrap();
    }
    let mut command = std::process::Command::new(support::program());
    command
        .arg("--sysroot")
        .arg(node.dir.path())
        .arg("--print-disks");
    let ran = run(command);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (
            Some(0),
            "named: sda (10485760 bytes, attached by a network: iSCSI)\n\
             named: sdb (10485760 bytes, attached by USB)\n"
        )
    );
    assert_eq!(run(node.agent(&order, &[&server], &[])).code, Some(1));
    let (number, reason) = node.master.verdict();
    assert_eq!(number, status::REFUSED);
    assert!(
        reason.contains("iSCSI") && reason.contains("attached by USB"),
        "{reason}"
    );
}

#[test]
fn memory_is_bounded() {
    let (node, image) = (Node::new(), Image::new(96, 13));
    let (order, disk) = (image.order(), node.disk("sda", 97));
    let server = Server::start(&image, &order);
    // Without --return it stays for a while after its verdict.
    let mut command = std::process::Command::new(support::program());
    let like = node.agent(&order, &[&server], &[&disk]);
    command
        .env_clear()
        .args(like.get_args().filter(|arg| *arg != "--return"));
    let agent = Running::start(&mut command);
    assert_eq!(node.master.verdict().0, status::LOADED);
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.0.id())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 64 << 10, "{peak} KiB");
    assert!(image.is_on(&disk));
}

#[test]
fn an_action_returns_at_once_and_the_load_goes_on() {
    let (node, image) = (Node::new(), Image::new(24, 14));
    let (order, disk) = (image.order(), node.disk("sda", 25));
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::with(&image, &order, any, Some(6 << 20));
    let mut command = node.agent(&order, &[&server], &[&disk]);
    command.arg("--detach");
    let began = Instant::now();
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    // What is there to be written takes the server two seconds; the action did not wait for it.
    assert!(
        server.bytes.load(Ordering::Relaxed) < 12 << 20,
        "{:?}",
        began.elapsed()
    );
    assert_eq!(node.master.verdict().0, status::LOADED);
    assert!(image.is_on(&disk));
}

/// A file system that is full is a disk that does not take what is written.
#[test]
fn a_disk_that_is_full_is_not_loaded() {
    if !have("root", nix::unistd::geteuid().is_root()) {
        return;
    }
    let (node, image) = (Node::new(), Image::new(8, 15));
    let order = image.order();
    let server = Server::start(&image, &order);
    let mount = node.dir.path().join("small");
    std::fs::create_dir(&mount).unwrap();
    tool(&[
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "size=3m",
        "tmpfs",
        mount.to_str().unwrap(),
    ]);
    let disk = mount.join("sda");
    std::fs::File::create(&disk)
        .unwrap()
        .set_len(12 << 20)
        .unwrap();
    let ran = run(node.agent(&order, &[&server], &[&disk]));
    let bootable = marker(&disk).is_none();
    tool(&["umount", mount.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let (number, reason) = node.master.verdict();
    assert_eq!(number, status::WRITE, "{reason}");
    assert!(
        reason.contains("cannot be written") && !bootable,
        "{reason}"
    );
}

fn tool(words: &[&str]) -> String {
    let output = std::process::Command::new(words[0])
        .args(&words[1..])
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

/// A loop device over a file; gone when dropped.
struct Loop(String);

impl Loop {
    fn new(file: &Path, options: &[&str]) -> Loop {
        let words = [
            &["losetup", "-f", "--show"],
            options,
            &[file.to_str().unwrap()],
        ]
        .concat();
        Loop(tool(&words))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = std::process::Command::new("losetup")
            .args(["-d", &self.0])
            .output();
    }
}

/// A real block device of either sector size: a real file system that counts on zeros where somebody
/// else's bytes were, a device that is mounted, one that is read-only.
#[test]
fn block_devices() {
    let there = Path::new("/dev/loop-control").exists() && nix::unistd::geteuid().is_root();
    if !have("root and loop devices", there) {
        return;
    }
    let node = Node::new();
    let source = node.dir.path().join("source");
    std::fs::File::create(&source)
        .unwrap()
        .set_len(24 << 20)
        .unwrap();
    tool(&[
        "mkfs.ext4",
        "-q",
        "-F",
        "-E",
        "offset=1048576",
        source.to_str().unwrap(),
        "22m",
    ]);
    let mut bytes = std::fs::read(&source).unwrap();
    // One partition of 22 MiB at 1 MiB.
    bytes[446 + 4] = 0x83;
    bytes[446 + 8..446 + 12].copy_from_slice(&2048_u32.to_le_bytes());
    bytes[446 + 12..446 + 16].copy_from_slice(&(22 * 2048_u32).to_le_bytes());
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    let image = Image::of(bytes);
    let order = image.order();
    let server = Server::start(&image, &order);
    for sector in ["512", "4096"] {
        let file = node.disk("disk", 32);
        let device = Loop::new(&file, &["-b", sector]);
        let path = Path::new(&device.0);
        let ran = run(node.agent(&order, &[&server], &[path]));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(node.master.verdict().0, status::LOADED);
        assert!(image.is_on(&file), "{sector}");
        let partition = Loop::new(&file, &["-r", "-o", "1048576"]);
        tool(&["e2fsck", "-fn", &partition.0]);
        drop(partition);
        // In use it is not taken, and stays what it is.
        tool(&["mkfs.ext4", "-q", "-F", &device.0]);
        let mount = node.dir.path().join("mount");
        std::fs::create_dir_all(&mount).unwrap();
        tool(&["mount", &device.0, mount.to_str().unwrap()]);
        let ran = run(node.agent(&order, &[&server], &[path]));
        tool(&["umount", mount.to_str().unwrap()]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        let (number, reason) = node.master.verdict();
        assert_eq!(number, status::REFUSED);
        assert!(reason.contains("busy"), "{reason}");
        tool(&["e2fsck", "-fn", &device.0]);
        drop(device);
        let device = Loop::new(&file, &["-r", "-b", sector]);
        let ran = run(node.agent(&order, &[&server], &[Path::new(&device.0)]));
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert_eq!(node.master.verdict().0, status::REFUSED);
    }
}

#[test]
fn after_a_failure_the_chain_does_not_go_on() {
    let (node, image) = (Node::new(), Image::new(4, 16));
    let (order, disk) = (image.order(), node.disk("sda", 3));
    let server = Server::start(&image, &order);
    let like = node.agent(&order, &[&server], &[&disk]);
    let mut command = std::process::Command::new(support::program());
    command
        .env_clear()
        .args(like.get_args().filter(|arg| *arg != "--return"));
    let mut agent = Running::start(&mut command);
    assert_eq!(node.master.verdict().0, status::REFUSED);
    // It sleeps in pause(2) for ever; a return would be seen soon after the verdict.
    std::thread::sleep(Duration::from_secs(1));
    assert!(agent.0.try_wait().unwrap().is_none());
}

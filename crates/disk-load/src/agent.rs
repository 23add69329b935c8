//! The whole of it: order, manifests, disks, set-up, one image after the other, verdict.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use disk_image::order::{self, Order};
use disk_image::{Digest, LONGEST_MANIFEST, Manifest};
use image_transfer::document;
use xcat_request::load::{self as report, Loaded, SetUp, Verdict, status};

use crate::choose::{Want, choose, fits};
use crate::device::Target;
use crate::load::{Job, is_ours, load};
use crate::supply::Ended;
use crate::survey::survey;
use crate::transfer::Transfer;
use crate::{Error, signature};

/// How long the order may take to come; its own limit is known only then.
const ORDER: Duration = Duration::from_secs(900);
/// What frames on their way and frames for peers may take.
const MEMORY: usize = 20 << 20;

/// What the boot target handed over, and what somebody set by hand.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The root of sysfs and procfs: `/`, or a test's.
    pub root: PathBuf,
    /// Where the images go, in the order's sequence, instead of what the rules would choose.
    pub devices: Vec<PathBuf>,
    /// The digest of the order.
    pub order: Digest,
    /// The image servers, in the order's sequence.
    pub servers: Vec<SocketAddr>,
    /// The claim's nonce.
    pub nonce: String,
    /// Whether frames are handed on to other nodes of the run.
    pub peers: bool,
    /// From when the time counts.
    pub started: Instant,
    /// How long all of it may take, instead of what the order says.
    pub limit: Option<Duration>,
}

/// Does what the order says. `set_up` tells the master which disks are to be written and returns when it
/// has agreed; before that, and without it, no disk is touched. `say` hears how it goes.
pub fn run(
    settings: &Settings,
    set_up: &mut dyn FnMut(SetUp, Instant) -> Result<(), Ended>,
    say: &mut dyn FnMut(&str),
) -> Verdict {
    let mut images = Vec::new();
    match work(settings, set_up, say, &mut images) {
        Ok(()) => Verdict {
            status: status::LOADED,
            reason: String::new(),
            images,
        },
        Err(error) => Verdict {
            status: error.status(),
            reason: one_line(&error.to_string()),
            images,
        },
    }
}

fn work(
    settings: &Settings,
    set_up: &mut dyn FnMut(SetUp, Instant) -> Result<(), Ended>,
    say: &mut dyn FnMut(&str),
    done: &mut Vec<Loaded>,
) -> Result<(), Error> {
    let order = get_order(settings)?;
    let limit = Duration::from_secs(order.limit_seconds);
    let limit = settings.limit.unwrap_or(limit);
    // A limit that no clock reaches is none.
    let far = Duration::from_secs(10 * 365 * 86_400);
    let deadline = settings.started + limit.min(far);
    // Only one at a time is kept: a manifest can be large.
    let mut sizes = Vec::new();
    for number in 0..order.images.len() {
        sizes.push(get_manifest(settings, &order, number, deadline)?.size());
    }
    let chosen = disks(settings, &order, &sizes)?;
    let mut targets = Vec::new();
    for (number, (disk, path)) in chosen.iter().enumerate() {
        let target = Target::open(path).map_err(|why| Error::Open {
            disk: path.display().to_string(),
            why,
        })?;
        // What is open is what counts, whatever sysfs said.
        fits(&want(&order, &sizes, number), &disk.name, target.size())?;
        targets.push(target);
    }
    for (number, target) in targets.iter().enumerate() {
        let manifest = get_manifest(settings, &order, number, deadline)?;
        check_owner(target, &manifest, &order.overwrite)?;
    }
    let disks = chosen.into_iter().map(|(disk, _)| disk).collect();
    set_up(SetUp { disks }, deadline).map_err(crate::load::Error::Ended)?;
    for (number, target) in targets.iter().enumerate() {
        let image = &order.images[number];
        let began = Instant::now();
        let manifest = Rc::new(get_manifest(settings, &order, number, deadline)?);
        let server = settings.servers[number];
        let mut transfer = Transfer::new(image_transfer::Settings {
            server,
            digest: image.manifest,
            manifest: Rc::clone(&manifest),
            nonce: settings.nonce.clone(),
            listen: settings.peers.then(|| any_address(server)),
            memory: MEMORY,
            deadline,
        });
        say(&format!("{}: onto {}", image.name, target.path().display()));
        let job = Job {
            target,
            manifest: &manifest,
            digest: image.manifest,
            order: settings.order,
            zero: order.zero,
            deadline,
        };
        let summary = load(&job, &mut transfer)?;
        let seconds = began.elapsed().as_secs();
        say(&format!(
            "{}: {} frames are on {} and read back right, {} of them were there; {} bytes written in {seconds} s",
            image.name,
            summary.frames,
            target.path().display(),
            summary.kept,
            summary.written,
        ));
        done.push(Loaded {
            image: image.name.clone(),
            written: summary.written,
            seconds,
        });
    }
    Ok(())
}

fn get_order(settings: &Settings) -> Result<Order, Error> {
    let server = settings.servers.first().ok_or(Error::Servers(0, 1))?;
    let path = format!("/v1/order/{}", settings.nonce);
    let deadline = settings.started + settings.limit.unwrap_or(ORDER).min(ORDER);
    let bytes = document(*server, &path, &settings.order, order::LONGEST, deadline)?;
    let order = Order::parse(&bytes)?;
    if order.nonce != settings.nonce {
        return Err(Error::Nonce);
    }
    if order.images.len() != settings.servers.len() {
        return Err(Error::Servers(settings.servers.len(), order.images.len()));
    }
    Ok(order)
}

fn get_manifest(
    settings: &Settings,
    order: &Order,
    number: usize,
    deadline: Instant,
) -> Result<Manifest, Error> {
    let digest = order.images[number].manifest;
    let path = format!("/v1/manifest/{digest}");
    let server = settings.servers[number];
    let bytes = document(server, &path, &digest, LONGEST_MANIFEST, deadline)?;
    Ok(Manifest::parse(&bytes)?)
}

fn want<'a>(order: &'a Order, sizes: &[u64], number: usize) -> Want<'a> {
    let image = &order.images[number];
    Want {
        image: &image.name,
        size: sizes[number],
        disk: image.disk.as_ref(),
    }
}

/// Each image's disk, as the report names it, and its device file.
fn disks(
    settings: &Settings,
    order: &Order,
    sizes: &[u64],
) -> Result<Vec<(report::Disk, PathBuf)>, Error> {
    let wants: Vec<Want<'_>> = (0..sizes.len()).map(|n| want(order, sizes, n)).collect();
    if !settings.devices.is_empty() {
        if settings.devices.len() != wants.len() {
            return Err(Error::Devices(settings.devices.len(), wants.len()));
        }
        let named = settings.devices.iter().zip(&wants).map(|(path, want)| {
            let disk = report::Disk {
                image: want.image.to_string(),
                name: name_of(path),
                serial: None,
                wwn: None,
                size: want.size,
            };
            (disk, path.clone())
        });
        return Ok(named.collect());
    }
    let there = survey(&settings.root)?;
    let chosen = choose(&there, &wants)?;
    let chosen = chosen.into_iter().zip(&wants).map(|(disk, want)| {
        let told = report::Disk {
            image: want.image.to_string(),
            name: disk.name.clone(),
            serial: disk.serial.clone(),
            wwn: disk.wwn.clone(),
            size: disk.size,
        };
        (told, disk.device())
    });
    Ok(chosen.collect())
}

/// A file's name as far as a disk could have it.
fn name_of(path: &std::path::Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let good = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = name.chars().filter(good).take(64).collect();
    match name.trim_start_matches(['.', '_', '-']) {
        "" => "disk".to_string(),
        name => name.to_string(),
    }
}

/// Refuses a disk that bears somebody's signature, unless the order says that it may go. One that osload
/// has written before is nobody else's, whatever is in the image.
fn check_owner(target: &Target, manifest: &Manifest, overwrite: &[String]) -> Result<(), Error> {
    let disk = || target.path().display().to_string();
    if is_ours(target, manifest) {
        return Ok(());
    }
    let found = signature::find(target).map_err(|why| Error::Open { disk: disk(), why })?;
    let allowed = |kind: &str| overwrite.iter().any(|name| name.eq_ignore_ascii_case(kind));
    let foreign: Vec<String> = found
        .iter()
        .filter(|found| !allowed(found.kind))
        .map(ToString::to_string)
        .collect();
    match foreign.is_empty() {
        true => Ok(()),
        false => Err(Error::Foreign {
            disk: disk(),
            found: foreign.join(", "),
        }),
    }
}

/// Any address of this node that the server's kind of address can reach, and any port.
fn any_address(server: SocketAddr) -> SocketAddr {
    let address = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(address, 0)
}

/// As a verdict's reason may be: one line, not too long.
fn one_line(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let mut end = text.len().min(report::REASON_LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_string()
}

//! What will be done with each node: found out before anything is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use disk_image::order::{NoOrder, Order, Wanted, Zero};
use disk_image::{Digest, Store};
use node_reboot::permission::{self, Asked};
use node_reboot::{NodeResult, Power, Status};
use program::Site;
use xcat_tables::policy::Call;
use xcat_tables::{Location, Tables};

use crate::disks;
use crate::error::Refused;
use crate::limits::{self, Size};
use crate::privileged::arguments;
use crate::request::{Choice, Options, Request};

/// A request that may be carried out, and how.
#[derive(Debug)]
pub struct Plan {
    pub(crate) nodes: Vec<String>,
    pub(crate) images: Vec<Wanted>,
    pub(crate) limit: Duration,
    pub(crate) options: Options,
    pub(crate) location: Location,
    pub(crate) images_dir: std::path::PathBuf,
    settled: Vec<NodeResult>,
    /// Bytes of all images as they are sent, for people.
    stored: u64,
}

impl Plan {
    /// Reads what a request comes to. Changes nothing, touches no node but to read its power.
    ///
    /// # Errors
    /// [`Refused`]: nothing will be done for any node.
    pub fn read(tables: &Tables, request: &Request) -> Result<Plan, Refused> {
        let options = &request.options;
        let names = node_reboot::known(tables, &request.nodes)?;
        permission::judge(
            tables,
            &request.caller,
            &names,
            Asked {
                command: "osload",
                arguments: arguments(&request.images, options),
                stands_for: stands_for(options),
            },
        )?;
        let site = Site::read()?;
        let images_dir = site.image_dir();
        let choices = match request.images.is_empty() {
            true => default_images(tables, &names)?,
            false => request.images.clone(),
        };
        let store = Store::open(&images_dir, &crate::orders())?;
        let found = choices.iter().map(|choice| find(&store, choice));
        let (images, sizes): (Vec<Wanted>, Vec<Size>) =
            found.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        // Two images for one disk are told from each other now; the nonce is any.
        check(&images, options)?;
        most_at_a_time(tables, &names, site.max_loads)?;
        let mut plan = Plan {
            nodes: Vec::new(),
            stored: sizes.iter().map(|size| size.stored).sum(),
            images,
            limit: Duration::ZERO,
            options: options.clone(),
            location: tables.location().clone(),
            images_dir,
            settled: Vec::new(),
        };
        let names = plan.vetoed(names)?;
        let names = plan.claimed(tables, names)?;
        let known = known_disks(tables, &names)?;
        let names = plan.too_small(names, &sizes, &known);
        plan.nodes = plan.without_power(tables, names)?;
        let largest = known.values().max().copied();
        let limit = limits::limit(&sizes, options.zero, largest);
        plan.limit = options.timeout.unwrap_or(limit);
        Ok(plan)
    }

    /// Nodes that are settled before anything begins.
    pub fn settled(&self) -> &[NodeResult] {
        &self.settled
    }

    /// The other nodes.
    pub fn begun(&self) -> &[String] {
        &self.nodes
    }

    /// What they get, in words.
    pub fn words(&self) -> String {
        let images = self.images.iter().map(|image| {
            let disk = match &image.disk {
                None => "its only disk".to_string(),
                Some(disk) => format!("{disk:?}"),
            };
            format!("{} ({:.12}) to {disk}", image.name, image.manifest)
        });
        images.collect::<Vec<_>>().join(", ")
    }

    /// Bytes that each node fetches.
    pub fn stored(&self) -> u64 {
        self.stored
    }

    /// From a node's set-up to its verdict, at most.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    fn settle(&mut self, node: &str, status: Status, why: impl Into<String>) {
        self.settled.push(NodeResult::new(node, status, why));
    }

    /// Asks the site's hooks.
    fn vetoed(&mut self, names: Vec<String>) -> Result<Vec<String>, Refused> {
        let directory = program::paths::config_dir().join("veto.d");
        let vetoes = fork_worker::veto::consult(&directory, "osload", "load", &names)?;
        for (node, why) in &vetoes {
            self.settle(node, Status::REFUSED, format!("vetoed: {why}"));
        }
        let left = names.into_iter().filter(|node| !vetoes.contains_key(node));
        Ok(left.collect())
    }

    /// Nodes that somebody else waits for; who is quicker from here on is seen when they are claimed.
    fn claimed(&mut self, tables: &Tables, names: Vec<String>) -> Result<Vec<String>, Refused> {
        let claims = node_report::claims_of_others(tables)?;
        let (held, left): (Vec<String>, Vec<String>) = names
            .into_iter()
            .partition(|node| claims.contains_key(node));
        for node in held {
            let why = format!("is waited for by {}", claims[&node].holder_text());
            self.settle(&node, Status::NOT_STARTED, why);
        }
        Ok(left)
    }

    fn too_small(
        &mut self,
        names: Vec<String>,
        sizes: &[Size],
        known: &BTreeMap<String, u64>,
    ) -> Vec<String> {
        let needed = sizes.iter().map(|size| size.disk).max().unwrap_or(0);
        let mut left = Vec::new();
        for node in names {
            match known.get(&node).filter(|size| **size < needed) {
                Some(size) => {
                    let why = format!(
                        "its largest disk has less than {size} bytes (hwinv.disksize), the image needs {needed}"
                    );
                    self.settle(&node, Status::NOT_STARTED, why);
                }
                None => left.push(node),
            }
        }
        left
    }

    /// Nodes whose power cannot be read could be off for ever after.
    fn without_power(
        &mut self,
        tables: &Tables,
        names: Vec<String>,
    ) -> Result<Vec<String>, Refused> {
        if !self.options.power || names.is_empty() {
            return Ok(names);
        }
        let unreadable = Power::find(tables)?.unreadable(&names);
        for (node, why) in &unreadable {
            let why = format!("its power cannot be read: {why}");
            self.settle(node, Status::POWER_FAILED, why);
        }
        let left = names
            .into_iter()
            .filter(|node| !unreadable.contains_key(node));
        Ok(left.collect())
    }
}

/// What it comes to in xCAT's commands, each with the arguments that policy may speak of.
fn stands_for(options: &Options) -> Vec<Call> {
    let mut calls = vec![Call::new("nodeset", ["boot"])];
    if options.power {
        let verbs = ["stat", "off", "on"];
        calls.extend(verbs.map(|verb| Call::new("rpower", [verb])));
        calls.push(Call::new("rsetboot", ["net"]));
    }
    if options.configure {
        calls.push(Call::new("updatenode", []));
    }
    calls
}

/// The image that `nodetype.provmethod` of all nodes names.
fn default_images(tables: &Tables, names: &[String]) -> Result<Vec<Choice>, Refused> {
    let methods = tables.attribute("nodetype", "provmethod", names)?;
    let mut distinct: BTreeMap<&str, &str> = BTreeMap::new();
    for node in names {
        let method = methods.get(node).map_or("", |method| method.trim());
        distinct.entry(method).or_insert(node);
    }
    let listed = |(method, node): (&&str, &&str)| format!("{node} has \"{method}\"");
    match distinct.iter().next() {
        Some((method, _)) if distinct.len() == 1 && !method.is_empty() => Ok(vec![Choice {
            name: (*method).to_string(),
            by_digest: false,
            disk: None,
        }]),
        _ => {
            let found: Vec<String> = distinct.iter().map(listed).collect();
            Err(Refused::NoImage(
                program::escape(&found.join(", ")).into_owned(),
            ))
        }
    }
}

/// The cheap look: the manifest has the digest that names it, and the object the length that it says.
/// `osload image verify` reads every frame.
fn find(store: &Store, choice: &Choice) -> Result<(Wanted, Size), Refused> {
    let refused = |why: String| Refused::Image {
        image: program::escape(&choice.name).into_owned(),
        why,
    };
    let digest: Digest = match choice.by_digest {
        true => choice.name.parse(),
        false => store.resolve(&choice.name),
    }
    .map_err(|error| refused(error.to_string()))?;
    let manifest = store
        .manifest(digest)
        .map_err(|error| refused(error.to_string()))?;
    let object = store
        .frames_file(digest)
        .map_err(|error| refused(error.to_string()))?;
    let length = object
        .metadata()
        .map_err(|error| refused(error.to_string()))?
        .len();
    let stored: u64 = manifest
        .frames()
        .iter()
        .map(|frame| frame.range().end)
        .max()
        .unwrap_or(0);
    if stored == 0 {
        // It would load, and the old system's remains would be all that boots.
        return Err(refused("holds nothing but zeros".into()));
    }
    if length != stored {
        return Err(refused(format!(
            "its object has {length} bytes, its manifest says {stored}"
        )));
    }
    let wanted = Wanted {
        // A digest is no name of an image; its beginning is.
        name: choice.name.chars().take(LONGEST_SHOWN).collect(),
        manifest: digest,
        disk: choice.disk.clone(),
    };
    let size = Size {
        stored,
        disk: manifest.size(),
    };
    Ok((wanted, size))
}

/// Longest name in an order.
const LONGEST_SHOWN: usize = 64;

fn check(images: &[Wanted], options: &Options) -> Result<(), NoOrder> {
    let zero: Zero = options.zero;
    Order::new("0", images.to_vec(), options.overwrite.clone(), zero, 1).map(drop)
}

/// A guard against slips: so many disks at a time are enough for this site.
fn most_at_a_time(tables: &Tables, names: &[String], most: Option<usize>) -> Result<(), Refused> {
    let Some(most) = most else { return Ok(()) };
    let ours: BTreeSet<&String> = names.iter().collect();
    let claims = node_report::claims_of_others(tables)?;
    let running = claims
        .values()
        .filter(|claim| claim.is_load() && !ours.contains(&claim.node))
        .count();
    if running + names.len() > most {
        return Err(Refused::TooMany {
            running,
            asked: names.len(),
            most,
        });
    }
    Ok(())
}

fn known_disks(tables: &Tables, names: &[String]) -> Result<BTreeMap<String, u64>, Refused> {
    let texts = tables.attribute("hwinv", "disksize", names)?;
    let known = texts
        .into_iter()
        .filter_map(|(node, text)| Some((node, disks::largest(&text)?)));
    Ok(known.collect())
}

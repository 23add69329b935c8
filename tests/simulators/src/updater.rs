//! The images of a BMC and its host: upload, activation, what runs. Knows no dialect.

use serde::{Deserialize, Serialize};

use crate::tar_scan::Manifest;

/// How far an image has come, in OpenBMC's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// Not unpacked yet.
    NotReady,
    /// Refused.
    Invalid,
    /// Can be activated.
    Ready,
    /// Is being written.
    Activating,
    /// Is written.
    Active,
    /// Could not be written.
    Failed,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Its id now.
    pub id: String,
    /// Its version.
    pub version: String,
    /// `BMC` or `Host`.
    pub purpose: String,
    /// How far it is.
    pub activation: Activation,
    /// 0 boots next.
    pub priority: u8,
    /// It runs.
    pub functional: bool,
    /// Percent, while it is being written.
    pub progress: u8,
    /// When it is there to be seen.
    pub(crate) seen_at: f64,
    /// From when until when it is written.
    pub(crate) span: Option<(f64, f64)>,
    /// Activation begins by itself.
    pub(crate) by_itself: bool,
    /// The BMC reboots by itself then.
    pub(crate) immediate: bool,
    pub(crate) order: u64,
}

/// An upload that was received whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its size.
    pub bytes: u64,
    /// [`crate::digest`] of it.
    pub digest: u64,
}

/// A Redfish task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task {
    pub(crate) number: usize,
    /// Its image's `order`; none: the image was refused.
    pub(crate) image: Option<u64>,
    pub(crate) started: f64,
    pub(crate) target: String,
    /// The monitor has said its last.
    pub(crate) told: bool,
}

/// What goes wrong with activations now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Trouble {
    pub(crate) fails_at: Option<u8>,
    pub(crate) stuck_at: Option<u8>,
    pub(crate) invalid: bool,
    pub(crate) old_version_returns: bool,
}

/// How an upload is to go on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Wish {
    pub(crate) by_itself: bool,
    pub(crate) immediate: bool,
    pub(crate) seen_after: f64,
}

/// All images of one BMC.
#[derive(Debug)]
pub(crate) struct Updater {
    pub(crate) images: Vec<Image>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) uploads: Vec<Upload>,
    pub(crate) salted: bool,
    /// A body is being received.
    pub(crate) receiving: bool,
    /// The apply time that was set.
    pub(crate) apply_time: String,
    bmc: usize,
    made: u64,
}

impl Updater {
    pub(crate) fn new(bmc: usize, salted: bool, bmc_version: &str, host_version: &str) -> Updater {
        let mut updater = Updater {
            images: Vec::new(),
            tasks: Vec::new(),
            uploads: Vec::new(),
            salted,
            receiving: false,
            apply_time: "Immediate".to_string(),
            bmc,
            made: 0,
        };
        for (version, purpose) in [(bmc_version, "BMC"), (host_version, "Host")] {
            let manifest = Manifest {
                version: version.to_string(),
                purpose: purpose.to_string(),
                machine: None,
            };
            let wish = Wish {
                by_itself: false,
                immediate: false,
                seen_after: 0.0,
            };
            updater.add(&manifest, 0.0, &wish);
            if let Some(image) = updater.images.last_mut() {
                image.activation = Activation::Active;
                image.functional = true;
            }
        }
        updater
    }

    /// A new image; its `order`, which never changes.
    pub(crate) fn add(&mut self, manifest: &Manifest, now: f64, wish: &Wish) -> u64 {
        self.made += 1;
        // The oldest that does not run makes room.
        let same = |image: &&Image| image.purpose == manifest.purpose;
        if self.images.iter().filter(same).count() >= 2
            && let Some(at) = self
                .images
                .iter()
                .position(|image| image.purpose == manifest.purpose && !image.functional)
        {
            self.images.remove(at);
        }
        self.images.push(Image {
            id: self.id(&manifest.version, self.made),
            version: manifest.version.clone(),
            purpose: manifest.purpose.clone(),
            activation: Activation::NotReady,
            priority: 0,
            functional: false,
            progress: 0,
            seen_at: now + wish.seen_after,
            span: None,
            by_itself: wish.by_itself,
            immediate: wish.immediate,
            order: self.made,
        });
        self.made
    }

    /// The version is there already, which salted ids allow.
    pub(crate) fn exists(&self, version: &str) -> bool {
        !self.salted && self.images.iter().any(|image| image.version == version)
    }

    /// An update is under way.
    pub(crate) fn busy(&self) -> bool {
        let busy = |image: &Image| {
            matches!(
                image.activation,
                Activation::Activating | Activation::NotReady
            )
        };
        self.receiving || self.images.iter().any(busy)
    }

    /// Images that are there to be seen.
    pub(crate) fn seen(&self, now: f64) -> impl Iterator<Item = &Image> {
        self.images.iter().filter(move |image| image.seen_at <= now)
    }

    pub(crate) fn by_id(&mut self, id: &str) -> Option<&mut Image> {
        self.images.iter_mut().find(|image| image.id == id)
    }

    pub(crate) fn by_order(&self, order: u64) -> Option<&Image> {
        self.images.iter().find(|image| image.order == order)
    }

    /// The image that runs.
    pub(crate) fn running(&self, purpose: &str) -> Option<&Image> {
        self.images
            .iter()
            .find(|image| image.functional && image.purpose == purpose)
    }

    /// Begins to write an image. Only from Ready and Failed; else nothing happens.
    pub(crate) fn activate(&mut self, id: &str, now: f64, takes: f64) {
        if let Some(image) = self.by_id(id)
            && matches!(image.activation, Activation::Ready | Activation::Failed)
        {
            image.activation = Activation::Activating;
            image.progress = 10;
            image.span = Some((now, now + takes));
        }
    }

    /// This one boots next; others of its kind move down.
    pub(crate) fn first(&mut self, id: &str) {
        let Some(purpose) = self.by_id(id).map(|image| image.purpose.clone()) else {
            return;
        };
        for image in self
            .images
            .iter_mut()
            .filter(|image| image.purpose == purpose)
        {
            image.priority = if image.id == id {
                0
            } else {
                image.priority.saturating_add(1)
            };
        }
    }

    /// Does what is due. True: the BMC is to reboot by itself.
    pub(crate) fn advance(&mut self, now: f64, takes: f64, trouble: &Trouble) -> bool {
        let mut reboot = false;
        let mut firsts = Vec::new();
        let mut starts = Vec::new();
        for image in &mut self.images {
            if image.activation == Activation::NotReady && image.seen_at <= now {
                image.activation = if trouble.invalid {
                    Activation::Invalid
                } else {
                    Activation::Ready
                };
                if image.by_itself && !trouble.invalid {
                    starts.push((image.id.clone(), image.seen_at));
                }
            }
        }
        for (id, at) in starts {
            self.activate(&id, at, takes);
        }
        for image in &mut self.images {
            let (Activation::Activating, Some((from, until))) = (image.activation, image.span)
            else {
                continue;
            };
            let part = ((now - from) / (until - from)).clamp(0.0, 1.0);
            let percent = (10.0 + 90.0 * part) as u8;
            if let Some(stuck) = trouble.stuck_at
                && percent >= stuck
            {
                image.progress = stuck;
                continue;
            }
            image.progress = percent.min(99);
            if trouble.fails_at.is_some_and(|at| percent >= at) {
                image.activation = Activation::Failed;
            } else if until <= now {
                image.activation = Activation::Active;
                reboot |= image.immediate && image.purpose == "BMC";
                firsts.push(image.id.clone());
            }
        }
        for id in firsts {
            self.first(&id);
        }
        reboot
    }

    /// When something is due next.
    pub(crate) fn due(&self, now: f64) -> Option<f64> {
        let times = self.images.iter().flat_map(|image| {
            let seen = (image.activation == Activation::NotReady).then_some(image.seen_at);
            let written = image
                .span
                .filter(|_| image.activation == Activation::Activating);
            [seen, written.map(|(_, until)| until)]
        });
        times
            .flatten()
            .filter(|at| *at > now)
            .min_by(f64::total_cmp)
    }

    /// What was written last runs now, after a boot of the BMC or the host.
    pub(crate) fn booted(&mut self, purpose: &str, trouble: &Trouble) {
        if trouble.old_version_returns {
            return;
        }
        let active =
            |image: &&Image| image.purpose == purpose && image.activation == Activation::Active;
        let next = self
            .images
            .iter()
            .filter(active)
            .min_by_key(|image| image.priority);
        let Some(next) = next.map(|image| image.id.clone()) else {
            return;
        };
        for image in self
            .images
            .iter_mut()
            .filter(|image| image.purpose == purpose)
        {
            image.functional = image.id == next;
        }
    }

    /// What a reboot of the BMC forgets: tasks, images that were not written, and the ids.
    pub(crate) fn forget(&mut self) {
        self.tasks.clear();
        self.receiving = false;
        self.images
            .retain(|image| image.activation == Activation::Active);
        if self.salted {
            for at in 0..self.images.len() {
                self.made += 1;
                let salt = self.made;
                self.images[at].id = self.id(&self.images[at].version, salt);
            }
        }
    }

    /// Eight hexadecimal digits, the same for the same version unless salted.
    fn id(&self, version: &str, salt: u64) -> String {
        let text = if self.salted {
            format!("{version} {} {salt}", self.bmc)
        } else {
            version.to_string()
        };
        let sum = crate::tar_scan::digest(text.as_bytes());
        format!("{:08x}", (sum ^ (sum >> 32)) as u32)
    }
}

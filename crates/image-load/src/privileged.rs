//! The way of a user without root's rights: by nodereboot-priv, as a reboot goes.

use disk_image::order::{DiskChoice, Zero};
use node_reboot::privileged::{Asked, Reading};
use node_reboot::{Handle, MaxFail};

use crate::error::Refused;
use crate::request::{Choice, Options, Request};

/// Has the privileged entry start it. The nodes of `request` may be any names, of groups too.
///
/// # Errors
/// [`Refused`]: there is no way to be run with privilege.
pub fn start(request: &Request, reading: Reading) -> Result<Handle, Refused> {
    Ok(asked(request).start(reading)?)
}

/// Has the privileged entry print what would be done; its exit status.
///
/// # Errors
/// As [`start`].
pub fn show(request: &Request, reading: Reading) -> Result<u8, Refused> {
    Ok(asked(request).show(reading)?)
}

fn asked(request: &Request) -> Asked<'_> {
    Asked {
        program: Some("--osload"),
        what: "load disks of",
        options: arguments(&request.images, &request.options),
        nodes: &request.nodes,
    }
}

/// The options as the privileged entry takes them, a letter's value behind it as an argument of its own; also what policy's `parameters` are matched with.
pub fn arguments(images: &[Choice], options: &Options) -> Vec<String> {
    let names = |by_digest: bool| {
        let names = images.iter().filter(|image| image.by_digest == by_digest);
        names
            .map(|image| image.name.as_str())
            .collect::<Vec<_>>()
            .join(",")
    };
    let mut arguments = Vec::new();
    for (letter, names) in [("-i", names(false)), ("-m", names(true))] {
        if !names.is_empty() {
            arguments.extend([letter.to_string(), names]);
        }
    }
    let flags = [
        (options.configure, "-R"),
        (!options.power, "-r"),
        (options.notes, "-V"),
    ];
    let given = flags.into_iter().filter(|(given, _)| *given);
    arguments.extend(given.map(|(_, flag)| flag.to_string()));
    match options.zero {
        Zero::Nothing => {}
        Zero::Rest => arguments.extend(["-z", "1"].map(String::from)),
        Zero::All => arguments.extend(["-z", "2"].map(String::from)),
    }
    let defaults = Options::new(Default::default(), Default::default());
    let mut number = |name: &str, value: Option<u64>| {
        arguments.extend(value.map(|value| format!("--{name}={value}")));
    };
    number("wait-time", options.wait.map(|wait| wait.as_secs()));
    number(
        "fanout",
        u64::try_from(options.fanout)
            .ok()
            .filter(|_| options.fanout != defaults.fanout),
    );
    number("timeout", options.timeout.map(|timeout| timeout.as_secs()));
    arguments.extend(options.max_fail.map(|most| match most {
        MaxFail::Nodes(nodes) => format!("--max-fail={nodes}"),
        MaxFail::Percent(share) => format!("--max-fail={share}%"),
    }));
    for image in images {
        let disk = match &image.disk {
            Some(DiskChoice::Serial(text)) => format!("serial:{text}"),
            Some(DiskChoice::Wwn(text)) => format!("wwn:{text}"),
            Some(DiskChoice::Name(text)) => format!("name:{text}"),
            None => continue,
        };
        arguments.push(format!("--disk={}={disk}", image.name));
    }
    let signatures = options.overwrite.iter();
    arguments.extend(signatures.map(|name| format!("--overwrite={name}")));
    let keys = [
        ("setup", options.set_up, defaults.set_up),
        ("stall", options.stall, defaults.stall),
    ];
    let changed = keys.into_iter().filter(|(_, value, usual)| value != usual);
    arguments.extend(
        changed
            .flat_map(|(key, value, _)| ["-o".to_string(), format!("{key}={}", value.as_secs())]),
    );
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_what_was_asked_for_is_an_argument() {
        let image = |name: &str, disk| Choice {
            name: name.into(),
            by_digest: false,
            disk,
        };
        let mut options = Options::new(Default::default(), Default::default());
        assert_eq!(arguments(&[image("a", None)], &options), ["-i", "a"]);
        options.zero = Zero::All;
        options.power = false;
        options.wait = Some(Duration::from_secs(9));
        options.stall = Duration::from_secs(7);
        options.overwrite = vec!["LVM2_member".into()];
        options.max_fail = Some(MaxFail::Percent(10));
        let images = [
            image("a", Some(DiskChoice::Wwn("5x".into()))),
            image("b", None),
        ];
        let expected = [
            "-i",
            "a,b",
            "-r",
            "-z",
            "2",
            "--wait-time=9",
            "--max-fail=10%",
            "--disk=a=wwn:5x",
            "--overwrite=LVM2_member",
            "-o",
            "stall=7",
        ];
        assert_eq!(arguments(&images, &options), expected);
    }
}

//! The kernel line of genesis: `xcatd=MASTER:PORT destiny=STATE` and our additions.

use crate::master::Master;
use crate::target::{Target, is_host};

/// What iPXE puts in the place of this is the server that answered the node's DHCP request.
const ANSWERED: &str = "${next-server}";

/// A node's serial console, from `nodehm`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Serial {
    /// `serialport`, a number.
    pub port: Option<String>,
    /// `serialspeed`, bits per second.
    pub speed: Option<String>,
    /// `serialflow`: `hard` and `rtscts` mean hardware flow control.
    pub flow: Option<String>,
}

/// The line, without what the loader adds at its end. `port` is xCAT's (`site.xcatdport`), `extra` the
/// node's own `bootparams.addkcmdline`. The text says which value cannot be used.
pub(crate) fn kernel_line(
    target: &Target,
    master: &Master,
    port: u16,
    serial: &Serial,
    extra: Option<&str>,
) -> Result<String, String> {
    let host = match master.xcatmaster.as_deref() {
        Some(name) if !is_host(name) => {
            return Err("noderes.xcatmaster is not the name or address of a host".to_string());
        }
        Some(v6) if v6.contains(':') => format!("[{v6}]"),
        _ => master
            .address(Some(ANSWERED))
            .unwrap_or(ANSWERED)
            .to_string(),
    };
    let mut words = vec!["quiet".to_string()];
    words.extend(console(serial)?);
    words.push(format!("xcatd={host}:{port}"));
    words.push(format!("destiny={}", target.action));
    if let Some(extra) = extra.filter(|extra| !extra.trim().is_empty()) {
        if extra.contains(|c: char| c.is_control()) {
            return Err("bootparams.addkcmdline holds control characters".to_string());
        }
        // `R::` marks what is for the installed system's own boot loader (xCAT::BootUtils).
        let volatile = extra
            .split_whitespace()
            .filter(|word| !word.starts_with("R::"));
        words.extend(volatile.map(str::to_string));
    }
    words.push(target.words());
    words.retain(|word| !word.is_empty());
    Ok(words.join(" "))
}

fn console(serial: &Serial) -> Result<Vec<String>, String> {
    let Some(port) = &serial.port else {
        return Ok(Vec::new());
    };
    let Some(speed) = &serial.speed else {
        return Err("nodehm.serialport is set, but not nodehm.serialspeed".to_string());
    };
    let number = |text: &str| text.len() <= 8 && text.bytes().all(|c| c.is_ascii_digit());
    if !number(port) || !number(speed) {
        return Err("nodehm.serialport or serialspeed is no number".to_string());
    }
    let flow = match serial.flow.as_deref() {
        Some("hard" | "rtscts") => "n8r",
        _ => "",
    };
    Ok(vec![
        "console=tty0".to_string(),
        format!("console=ttyS{port},{speed}{flow}"),
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn target() -> Target {
        Target {
            action: "runcmd=getadapter".into(),
            report: "10.0.0.1:4001".into(),
            pin: String::new(),
            nonce: "0123456789abcdef".into(),
            ..Target::default()
        }
    }

    fn master(xcatmaster: Option<&str>) -> Master {
        Master {
            xcatmaster: xcatmaster.map(str::to_string),
            pool: false,
            site: Some("mn".into()),
        }
    }

    #[test]
    fn who_answered_is_the_loaders_to_say() {
        assert_eq!(
            kernel_line(&target(), &master(None), 3001, &Serial::default(), None).unwrap(),
            "quiet xcatd=${next-server}:3001 destiny=runcmd=getadapter \
             nodetools.report=10.0.0.1:4001 nodetools.nonce=0123456789abcdef"
        );
    }

    #[test]
    fn a_named_master_a_console_and_the_nodes_own_words() {
        let serial = Serial {
            port: Some("1".into()),
            speed: Some("115200".into()),
            flow: Some("hard".into()),
        };
        assert_eq!(
            kernel_line(
                &target(),
                &master(Some("fe80::1")),
                3901,
                &serial,
                Some(" ip=dhcp  R::quiet ")
            )
            .unwrap(),
            "quiet console=tty0 console=ttyS1,115200n8r xcatd=[fe80::1]:3901 \
             destiny=runcmd=getadapter ip=dhcp \
             nodetools.report=10.0.0.1:4001 nodetools.nonce=0123456789abcdef"
        );
    }

    #[test]
    fn values_that_would_write_lines_of_their_own_are_refused() {
        let none = Serial::default();
        for name in ["mn\nexit", "a b", "", "${x}"] {
            assert!(kernel_line(&target(), &master(Some(name)), 3001, &none, None).is_err());
        }
        assert!(kernel_line(&target(), &master(None), 3001, &none, Some("a\nexit")).is_err());
        for (port, speed) in [("0", None), ("0 x", Some("9600")), ("0", Some("9600\nx"))] {
            let serial = Serial {
                port: Some(port.into()),
                speed: speed.map(str::to_string),
                flow: None,
            };
            assert!(kernel_line(&target(), &master(None), 3001, &serial, None).is_err());
        }
    }
}

//! The way back: which state a node is put into when we are done with it.

use crate::saved::{Before, Saved};

/// The state of a node that boots from its own disk.
pub(crate) const BOOT: &str = "boot";

/// What `nodeset` is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// Its argument.
    pub word: String,
    /// Why that is not the state that was there.
    pub short_of: Option<String>,
}

/// What follows our action in `chain.currchain`: a diskless node goes back to its image, any other
/// node to its disk. (`boot` makes xCAT blank the `provmethod` of a diskless node.)
pub(crate) fn then(before: &Before) -> String {
    let diskless = matches!(kind(before), "netboot" | "statelite");
    match image(before).filter(|_| diskless) {
        Some(image) => format!("osimage={image}"),
        None => BOOT.to_string(),
    }
}

/// How to ask `nodeset` for the state that was there.
pub(crate) fn order(saved: &Saved) -> Order {
    let exactly = |word: &str| Order {
        word: word.to_string(),
        short_of: None,
    };
    let state = state(saved);
    match kind(&saved.before) {
        _ if state == BOOT => exactly(BOOT),
        "install" | "netboot" | "statelite" | "sysclone" | "image" | "winshell" => {
            match image(&saved.before) {
                Some(image) => exactly(&format!("osimage={image}")),
                None => Order {
                    word: BOOT.to_string(),
                    short_of: Some(format!(
                        "was in state {state:?}, which needs an image's name in \
                         nodetype.provmethod; it boots from its disk now"
                    )),
                },
            }
        }
        // A node that has the state of an undiscovered one waits in genesis; nodeset has no such word.
        "discover" => exactly("standby"),
        _ => exactly(&state),
    }
}

/// `currstate` and `currchain` of the row that is put back. A node in genesis may still ask for its
/// next state after that, so the chain must not lead anywhere new: an empty one would start the
/// node's default chain again, and with it discovery or an installation.
pub(crate) fn row(saved: &Saved) -> (String, String) {
    let state = state(saved);
    if state == BOOT {
        return (state, BOOT.to_string());
    }
    let chain = match saved.before.currchain.as_deref() {
        Some(chain) if !chain.is_empty() => chain.to_string(),
        _ if saved.then != BOOT => saved.then.clone(),
        _ => state.clone(),
    };
    (state, chain)
}

/// The record as it would be of a node that booted from its disk before: no boot script but the one that
/// leaves the loader. Its kernel line goes back to what it was all the same.
pub(crate) fn to_disk(mut saved: Saved) -> Saved {
    saved.before.currstate = Some(BOOT.into());
    saved.before.currchain = Some(BOOT.into());
    saved
        .before
        .files
        .values_mut()
        .for_each(|file| *file = None);
    saved
}

/// True if `currstate` is what we made of it, what our chain made of it, or what it was: then it is
/// ours to put back. Anything else is somebody's decision since, and stays.
pub(crate) fn is_ours(saved: &Saved, currstate: Option<&str>) -> bool {
    let state = currstate.unwrap_or_default();
    saved.ours.iter().any(|ours| ours == state)
        || state == saved.before.currstate.as_deref().unwrap_or_default()
        || (saved.then == BOOT && state == BOOT)
}

/// The state to go back to: local boot if there was none, or if it was an action of ours that an
/// earlier run could not take back.
fn state(saved: &Saved) -> String {
    match saved.before.currstate.as_deref() {
        Some(state) if !state.is_empty() && !saved.ours.iter().any(|ours| ours == state) => {
            state.to_string()
        }
        _ => BOOT.to_string(),
    }
}

/// The first word of a state: `netboot` of `netboot rhels9-x86_64-compute`.
fn kind(before: &Before) -> &str {
    let state = before.currstate.as_deref().unwrap_or_default();
    state.split(' ').next().unwrap_or_default()
}

/// The image that `nodetype.provmethod` names, if it names one.
fn image(before: &Before) -> Option<&str> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'+');
    before
        .provmethod
        .as_deref()
        .filter(|name| !matches!(*name, "" | "install" | "netboot" | "statelite"))
        .filter(|name| name.bytes().all(fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(state: &str, chain: &str, provmethod: &str) -> Before {
        let some = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
        Before {
            currstate: some(state),
            currchain: some(chain),
            provmethod: some(provmethod),
            ..Before::default()
        }
    }

    fn saved(state: &str, chain: &str, provmethod: &str) -> Saved {
        let before = before(state, chain, provmethod);
        Saved::new(
            vec!["runcmd=getadapter".to_string()],
            &then(&before),
            before,
        )
    }

    #[test]
    fn each_state_is_asked_for_in_the_word_that_nodeset_knows() {
        for (state, provmethod, word) in [
            ("", "", "boot"),
            ("boot", "rhels9-x86_64-install-compute", "boot"),
            (
                "netboot rhels9-x86_64-compute",
                "rhels9-x86_64-netboot-compute",
                "osimage=rhels9-x86_64-netboot-compute",
            ),
            ("statelite x-y-z", "img", "osimage=img"),
            ("install x-y-z", "img", "osimage=img"),
            ("offline", "", "offline"),
            ("standby", "", "standby"),
            ("discover", "", "standby"),
            ("runcmd=bmcsetup", "", "runcmd=bmcsetup"),
            ("runcmd=getadapter", "", "boot"),
        ] {
            let order = order(&saved(state, "", provmethod));
            assert_eq!(
                (order.word.as_str(), order.short_of),
                (word, None),
                "{state}"
            );
        }
    }

    #[test]
    fn a_state_that_cannot_be_made_again_is_said() {
        for provmethod in ["", "netboot", "a,b", "a b"] {
            let order = order(&saved("netboot x-y-z", "", provmethod));
            assert_eq!(order.word, "boot");
            assert!(
                order
                    .short_of
                    .is_some_and(|why| why.contains("netboot x-y-z"))
            );
        }
    }

    #[test]
    fn only_diskless_nodes_go_on_to_their_image() {
        assert_eq!(then(&before("netboot x-y-z", "", "img")), "osimage=img");
        assert_eq!(then(&before("install x-y-z", "", "img")), "boot");
        assert_eq!(then(&before("netboot x-y-z", "", "")), "boot");
        assert_eq!(then(&before("", "", "img")), "boot");
    }

    #[test]
    fn the_chain_that_is_put_back_never_starts_the_default_one() {
        for (state, chain, provmethod, expected) in [
            ("", "", "", ("boot", "boot")),
            ("boot", "", "", ("boot", "boot")),
            ("boot", "runcmd=bmcsetup", "", ("boot", "boot")),
            ("netboot x-y-z", "", "img", ("netboot x-y-z", "osimage=img")),
            ("netboot x-y-z", "", "", ("netboot x-y-z", "netboot x-y-z")),
            ("install x-y-z", "boot", "img", ("install x-y-z", "boot")),
            ("standby", "", "", ("standby", "standby")),
        ] {
            let (currstate, currchain) = row(&saved(state, chain, provmethod));
            assert_eq!(
                (currstate.as_str(), currchain.as_str()),
                expected,
                "{state}"
            );
        }
    }

    #[test]
    fn somebody_elses_decision_is_known() {
        let disk = saved("", "", "");
        for ours in [Some("runcmd=getadapter"), Some("boot"), None] {
            assert!(is_ours(&disk, ours), "{ours:?}");
        }
        assert!(!is_ours(&disk, Some("install x-y-z")));
        let diskless = saved("netboot x-y-z", "", "img");
        assert!(is_ours(&diskless, Some("netboot x-y-z")));
        assert!(!is_ours(&diskless, Some("boot")));
    }
}

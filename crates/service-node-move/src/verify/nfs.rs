//! NFS: does a server answer, and does it export what its nodes mount? The call that does nothing (RFC 1813,
//! procedure 0), then the list of exports. To whom it exports is told, not judged: that may be any pattern.

use std::net::Ipv4Addr;

use super::rpc::{Answer, Procedure, call};
use super::wire::bytes;

const PORT: u16 = 2049;
/// Which programs are where (RFC 1833).
const PORTMAPPER: u16 = 111;
const NULL: Procedure = Procedure {
    program: 100_003,
    version: 3,
    number: 0,
};
const GET_PORT: Procedure = Procedure {
    program: 100_000,
    version: 2,
    number: 3,
};
const EXPORT: Procedure = Procedure {
    program: 100_005,
    version: 3,
    number: 5,
};
const TCP: u32 = 6;

/// True if it answers and exports all these directories, or what holds them.
///
/// # Errors
/// What happened instead.
pub(crate) fn exports(server: Ipv4Addr, directories: &[String]) -> Result<String, String> {
    match call(server, PORT, NULL, &[])? {
        Answer::Nonsense => return Err("what answers is no NFS server".to_string()),
        Answer::Done(_) | Answer::OtherVersion => {}
    }
    let Some(exported) = listed(server) else {
        return Ok("it answers; it has no list of exports (NFSv4 alone)".to_string());
    };
    let is_exported = |directory: &&String| exported.iter().any(|export| holds(export, directory));
    let missing: Vec<&str> = directories
        .iter()
        .filter(|directory| !is_exported(directory))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return Ok(format!("exports {}", directories.join(", ")));
    }
    let all = match exported.is_empty() {
        true => "nothing".to_string(),
        false => exported.join(", "),
    };
    Err(format!("does not export {}, but {all}", missing.join(", ")))
}

/// What it exports; none: it does not say.
fn listed(server: Ipv4Addr) -> Option<Vec<String>> {
    let wanted = [EXPORT.program, EXPORT.version, TCP, 0];
    let Ok(Answer::Done(port)) = call(server, PORTMAPPER, GET_PORT, &wanted) else {
        return None;
    };
    let port = u16::try_from(u32::from_be_bytes(bytes(&port, 0)?)).ok()?;
    match call(server, port, EXPORT, &[]) {
        Ok(Answer::Done(list)) if port != 0 => Some(read(&list)),
        _ => None,
    }
}

/// The directories in a list of exports, each followed by those who may mount it.
fn read(list: &[u8]) -> Vec<String> {
    let mut exported = Vec::new();
    let mut at = 0;
    while follows(list, &mut at) {
        let Some(directory) = text(list, &mut at) else {
            break;
        };
        exported.push(directory);
        while follows(list, &mut at) && text(list, &mut at).is_some() {}
    }
    exported
}

fn follows(list: &[u8], at: &mut usize) -> bool {
    word(list, at) == Some(1)
}

fn word(list: &[u8], at: &mut usize) -> Option<u32> {
    let word = bytes(list, *at).map(u32::from_be_bytes)?;
    *at += 4;
    Some(word)
}

fn text(list: &[u8], at: &mut usize) -> Option<String> {
    let length = word(list, at)? as usize;
    let bytes = list.get(*at..at.checked_add(length)?)?;
    *at += length.next_multiple_of(4);
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// True if the exported directory is this one, or has it below.
fn holds(export: &str, directory: &str) -> bool {
    let export = export.trim_end_matches('/');
    let rest = directory.trim_end_matches('/').strip_prefix(export);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn put(list: &mut Vec<u8>, text: &str) {
        list.extend(1_u32.to_be_bytes());
        list.extend((text.len() as u32).to_be_bytes());
        list.extend(text.as_bytes());
        list.resize(list.len().next_multiple_of(4), 0);
    }

    #[test]
    fn a_list_is_read() {
        let mut list = Vec::new();
        put(&mut list, "/install");
        put(&mut list, "10.0.0.0/8");
        put(&mut list, "*");
        list.extend(0_u32.to_be_bytes());
        put(&mut list, "/home");
        list.extend(0_u32.to_be_bytes());
        list.extend(0_u32.to_be_bytes());
        assert_eq!(read(&list), ["/install", "/home"]);
        assert_eq!(read(&list[..10]), [""; 0]);
    }

    #[test]
    fn a_directory_is_exported_by_itself_or_with_what_holds_it() {
        for (export, directory, wanted) in [
            ("/install", "/install", true),
            ("/install/", "/install/custom", true),
            ("/", "/install", true),
            ("/inst", "/install", false),
            ("/install/custom", "/install", false),
        ] {
            assert_eq!(holds(export, directory), wanted, "{export} {directory}");
        }
    }

    proptest! {
        #[test]
        fn any_list_is_read(list in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..80)) {
            prop_assert!(read(&list).len() <= list.len());
        }
    }
}

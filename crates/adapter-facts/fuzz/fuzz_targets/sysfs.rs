//! A machine's files: lines `path=content` make files, lines `path>target` make symbolic links.

#![no_main]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use adapter_facts::{column, kernel};
use libfuzzer_sys::fuzz_target;

/// Files of one machine at most; more only makes the run slow.
const FILES: usize = 64;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let Ok(root) = tempfile::tempdir() else {
        return;
    };
    let _ = fs::create_dir_all(root.path().join("sys/class/net"));
    for line in text.lines().take(FILES) {
        let _ = make(root.path(), line);
    }
    if let Ok(facts) = kernel::survey(root.path()) {
        let text = column::format(&facts.adapters).unwrap_or_default();
        assert!(!text.chars().any(char::is_control) && !text.contains("+="));
        assert!(
            facts
                .dropped
                .iter()
                .all(|line| !line.chars().any(char::is_control))
        );
    }
});

/// Makes one file or link below `root`; nothing that leads out of it.
fn make(root: &Path, line: &str) -> Option<()> {
    let at = line.find(['=', '>'])?;
    let (path, rest) = (line[..at].trim_start_matches('/'), &line[at + 1..]);
    if path.is_empty() || path.split('/').any(|part| part == "..") {
        return None;
    }
    let file = root.join(path);
    fs::create_dir_all(file.parent()?).ok()?;
    if line[at..].starts_with('=') {
        return fs::write(file, rest.replace("\\n", "\n")).ok();
    }
    let above = rest.split('/').filter(|part| *part == "..").count();
    let inside = above <= path.matches('/').count() && !rest.starts_with('/');
    inside.then(|| symlink(rest, file).ok()).flatten()
}

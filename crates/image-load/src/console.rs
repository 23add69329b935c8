//! The end of a node's console log: what it said last, for whoever has to find out why.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xcat_tables::Tables;

/// Where conserver (`NODE`) and goconserver (`NODE.log`) write, unless the site key says otherwise.
const DIRECTORY: &str = "/var/log/consoles";
/// The site key.
const KEY: &str = "consoledir";
/// Bytes that are looked at, lines that are told.
const BYTES: u64 = 4096;
const LINES: usize = 10;

/// The directory of console logs.
pub(crate) fn directory(tables: &Tables) -> PathBuf {
    match tables.site(KEY) {
        Ok(Some(path)) if path.starts_with('/') => path.into(),
        _ => program::paths::under(DIRECTORY),
    }
}

/// The last lines of a node's console; none if there is no log. What is not printable is a dot.
pub(crate) fn tail(directory: &Path, node: &str) -> Vec<String> {
    let names = [node.to_string(), format!("{node}.log")];
    let text = names
        .iter()
        .find_map(|name| last_bytes(&directory.join(name)));
    let text = text.unwrap_or_default();
    let lines: Vec<String> = String::from_utf8_lossy(&text)
        .lines()
        .map(|line| {
            let dotted = |c: char| if matches!(c, ' '..='~') { c } else { '.' };
            line.trim_end().chars().map(dotted).collect::<String>()
        })
        .filter(|line: &String| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

fn last_bytes(path: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let data = file.metadata().ok().filter(|data| data.is_file())?;
    let from = data.len().saturating_sub(BYTES);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::tail;

    #[test]
    fn the_last_lines_and_nothing_that_a_terminal_obeys() {
        let dir = tempfile::tempdir().unwrap();
        assert!(tail(dir.path(), "n1").is_empty());
        let mut text = "x".repeat(10_000);
        for line in 1..=20 {
            text.push_str(&format!("\nline {line}\r"));
        }
        text.push_str("\n\x1b[31mpanic\u{9b}\n\n");
        std::fs::write(dir.path().join("n1.log"), &text).unwrap();
        let lines = tail(dir.path(), "n1");
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[0], "line 12");
        assert_eq!(lines[9], ".[31mpanic.");
        std::fs::create_dir(dir.path().join("n2")).unwrap();
        assert!(tail(dir.path(), "n2").is_empty());
    }
}

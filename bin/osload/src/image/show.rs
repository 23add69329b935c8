//! Images as lines and as JSON.

use disk_image::{Digest, Manifest, PartitionTable};
use program::Output;
use serde_json::{Value, json};

/// One image in a line.
pub(crate) fn line(out: &mut Output, name: &str, digest: Digest, manifest: &Manifest, json: bool) {
    if json {
        out.line(&object(name, digest, manifest).to_string());
        return;
    }
    out.line(&format!(
        "{name}: {} of {} in {}, from {}, {digest}",
        amount(manifest.raw()),
        amount(manifest.size()),
        amount(manifest.object_size()),
        manifest.source().format,
    ));
}

/// All that is known of an image, but its frames.
pub(crate) fn show(out: &mut Output, name: &str, digest: Digest, manifest: &Manifest, json: bool) {
    let partitions = manifest.partitions();
    if json {
        let mut object = object(name, digest, manifest);
        object["partitions"] = json!(partitions.partitions);
        out.line(&object.to_string());
        return;
    }
    let mut say = |key: &str, value: &dyn std::fmt::Display| {
        out.line(&format!("{name}: {key}: {value}"));
    };
    say("manifest", &digest);
    say("size", &manifest.size());
    say("stored", &manifest.raw());
    say("object", &manifest.object_size());
    say("frames", &manifest.frames().len());
    say("frame size", &manifest.frame_size());
    say("sha256", &manifest.disk_digest());
    say("source format", &manifest.source().format);
    say("source size", &manifest.source().size);
    say("source sha256", &manifest.source().digest);
    say("partition table", &table(partitions.table));
    for one in &partitions.partitions {
        let value = format!("at {}, {} bytes, type {}", one.offset, one.length, one.kind);
        say(&format!("partition {}", one.number), &value);
    }
}

/// What reading an image has shown.
pub(crate) fn verified(out: &mut Output, name: &str, digest: Digest, wrong: &[String], json: bool) {
    if json {
        let object =
            json!({"name": name, "manifest": digest, "whole": wrong.is_empty(), "wrong": wrong});
        out.line(&object.to_string());
        return;
    }
    out.line(&match wrong.len() {
        0 => format!("{name}: whole"),
        count => format!("{name}: damaged: {count} findings"),
    });
}

fn object(name: &str, digest: Digest, manifest: &Manifest) -> Value {
    json!({
        "name": name,
        "manifest": digest,
        "size": manifest.size(),
        "stored": manifest.raw(),
        "object": manifest.object_size(),
        "frames": manifest.frames().len(),
        "frame_size": manifest.frame_size(),
        "sha256": manifest.disk_digest(),
        "source": manifest.source(),
        "table": table(manifest.partitions().table),
    })
}

fn table(table: PartitionTable) -> &'static str {
    match table {
        PartitionTable::None => "none",
        PartitionTable::Mbr => "mbr",
        PartitionTable::Gpt => "gpt",
    }
}

/// Bytes for people.
fn amount(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.iter().find(|(shift, _)| bytes >> shift > 0) {
        None => format!("{bytes} B"),
        Some((shift, unit)) => {
            let tenths = u128::from(bytes) * 10 / (1_u128 << shift);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::amount;

    #[test]
    fn amounts() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1 << 10, "1.0 KiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "17179869183.9 GiB"),
        ] {
            assert_eq!(amount(bytes), text);
        }
    }
}

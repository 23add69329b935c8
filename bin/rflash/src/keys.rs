//! `--sshkey`, and the same under the name `rspconfig`.

use std::path::Path;

use anyhow::Context;
use firmware_update::{Options, Step, ssh_key, survey, texts};
use program::{Interrupt, Usage, complain};
use xcat_tables::Tables;

use crate::speaker::Speaker;
use crate::{NAME, others, update};

/// We were called by the name of xCAT's command for this.
pub(crate) fn as_rspconfig() -> bool {
    let name = std::env::args_os().next().unwrap_or_default();
    Path::new(&name)
        .file_name()
        .is_some_and(|name| name == "rspconfig")
}

pub(crate) fn give(
    speaker: &mut Speaker<'_>,
    tables: &Tables,
    nodes: &[String],
    options: &Options,
    interrupt: &Interrupt,
) -> anyhow::Result<u8> {
    let rspconfig = as_rspconfig();
    if rspconfig && speaker.args.words != ["sshcfg"] {
        return Err(Usage("rspconfig: only `NODERANGE sshcfg` is done here".into()).into());
    }
    let key = ssh_key::key().map_err(anyhow::Error::msg)?;
    let (ours, theirs) = others::split(tables, nodes)?;
    for (node, mgt) in theirs {
        speaker.lost(
            &node,
            &format!("nodehm.mgt says {mgt:?}: no BMC that takes a key"),
        );
    }
    let found = update::targets(tables, &ours)?;
    for (node, why) in &found.failed {
        speaker.lost(node, why);
    }
    let nodes: Vec<String> = found.good.keys().cloned().collect();
    program::guard(nodes.len(), speaker.args.max_nodes, "give the ssh key to")?;
    if speaker.args.dry_run {
        let what = format!("{}.pub would be added", key.private.display());
        nodes.iter().for_each(|node| speaker.text(node, &what));
        return Ok(speaker.code());
    }
    let own = std::env::current_exe().context("this program's path")?;
    let worker = ssh_key::worker(found.good, key, own, options);
    survey(
        &nodes,
        &Step::SshKey,
        options,
        &worker,
        interrupt,
        &mut |node, answer| match answer {
            Ok(_) => {
                speaker.text(node, texts::KEY_COPIED);
                speaker.settled(node, None);
            }
            Err(trouble) => {
                match trouble.text.split_once(": ") {
                    // There it is a record, and scripts know nothing of reasons.
                    Some((text, why)) if rspconfig => {
                        speaker.text(node, text);
                        complain(NAME, &format!("{node}: {}", program::escape(why)));
                    }
                    _ => speaker.error(Some(node), &trouble.text),
                }
                speaker.settled(node, Some(&trouble.text));
            }
        },
    )?;
    speaker.counted();
    speaker.failed_to()?;
    Ok(speaker.code())
}

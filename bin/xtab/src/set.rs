//! `xtab set`: what was typed, as a change of rows.

use std::collections::BTreeSet;
use std::io::{Read, stdin};

use program::{Output, Usage, complain, exit};
use xcat_tables::{
    Assignment, Edit, Error, How, NodeCondition, Subject, Tables, Word, expand_unverified,
};

use crate::args::Range;
use crate::{NAME, show, tables, warn};

/// The arguments of `xtab set`.
pub(crate) struct Words<'a> {
    /// Rows by what they hold.
    pub(crate) key: Option<&'a str>,
    /// Which nodes; with a key the first value stands there.
    pub(crate) nodes: &'a Range,
    /// Values and conditions, or tables.
    pub(crate) others: &'a [String],
    /// Rows go away.
    pub(crate) delete: bool,
    /// From every table that is kept by node.
    pub(crate) all_tables: bool,
    /// The names are none of nodes yet.
    pub(crate) new: bool,
}

/// Changes rows, of up to `most` nodes; without that number shows what would change. Nothing is
/// changed if any name is no node: one that was meant to be left out could be it.
pub(crate) fn set(
    out: &mut Output,
    words: &Words<'_>,
    most: Option<usize>,
    json: bool,
) -> anyhow::Result<u8> {
    let mut texts: Vec<&str> = words.others.iter().map(String::as_str).collect();
    if words.key.is_some() {
        texts.insert(0, &words.nodes.noderange);
    }
    let (mut edit, conditions) = match words.delete {
        true => (removal(&texts)?, Vec::new()),
        false => assignments(&texts)?,
    };
    if words.new {
        makes_nodes(&edit, &conditions)?;
    }
    let keys = words.key.map(keys).transpose()?;
    if keys.is_some() && !conditions.is_empty() {
        return Err(Usage("-k: rows are chosen by their key, not by a condition".into()).into());
    }
    let tables = tables()?;
    if words.all_tables {
        edit = Edit::Remove(tables.kept_by_node()?);
    }
    let subject = match keys {
        Some(keys) => Subject::Rows(keys),
        None => {
            let (range, strict) = (&words.nodes.noderange, words.nodes.strict);
            let input = &mut stdin().lock();
            let nodes = match words.new {
                true => as_they_stand(range, strict, input)?,
                false => {
                    let nodes = tables.select(range, input, strict, &mut warn)?;
                    tables.fulfilling(nodes, &conditions)?
                }
            };
            if let Some(most) = most {
                program::guard(nodes.len(), most, "change")?;
            }
            match words.new {
                true => Subject::New(nodes),
                false => Subject::Nodes(nodes),
            }
        }
    };
    let watched = !tables.listeners(&edit.tables())?.is_empty();
    let changes = match (most, watched) {
        (None, _) => tables.preview(&subject, &edit)?,
        (Some(_), true) => tables.edit_and_tell(&subject, &edit)?,
        (Some(_), false) => {
            tables.edit(&subject, &edit)?;
            Vec::new()
        }
    };
    if most.is_none() {
        for change in &changes {
            show::change(out, change, json);
        }
    }
    let changed: BTreeSet<&str> = changes.iter().map(|change| change.table.as_str()).collect();
    tell(&tables, &changed.into_iter().collect::<Vec<_>>());
    Ok(exit::DONE)
}

/// Says who has asked xCAT to be told of changes of these tables: ours are not told. The change is
/// made already, so that nothing here is a failure of it.
pub(crate) fn tell(tables: &Tables, changed: &[&str]) {
    let listeners = tables.listeners(changed).unwrap_or_else(|why| {
        complain(NAME, &format!("who listens for this change: {why}"));
        Vec::new()
    });
    for listener in listeners {
        complain(
            NAME,
            &format!(
                "{}: {}: is not told of this change: only xCAT's own commands notify it",
                listener.table, listener.name
            ),
        );
    }
}

fn assignments(texts: &[&str]) -> Result<(Edit, Vec<NodeCondition>), Usage> {
    let (mut list, mut conditions): (Vec<Assignment>, _) = (Vec::new(), Vec::new());
    for text in texts {
        match Word::parse(text) {
            // As in xCAT the last one counts: items of the first would be lost without a word.
            Some(Word::Assignment(new)) if list.iter().any(|one| loses(one, &new)) => {
                return Err(Usage(format!(
                    "{}: items twice: name all at once",
                    new.name
                )));
            }
            Some(Word::Assignment(assignment)) => list.push(assignment),
            Some(Word::Condition(condition)) => conditions.push(condition),
            None => return Err(Usage(format!("{text}: not of the form table.column=value"))),
        }
    }
    if list.is_empty() {
        return Err(Usage("table.column=value: nothing is to be set".into()));
    }
    Ok((Edit::Assign(list), conditions))
}

/// True if only one of the two would be done, and that is not what both say.
fn loses(one: &Assignment, other: &Assignment) -> bool {
    let items = one.how.extends() || other.how.extends();
    one.name == other.name && items
}

/// A node without groups would be found by its own name alone.
fn makes_nodes(edit: &Edit, conditions: &[NodeCondition]) -> Result<(), Usage> {
    let groups = |one: &Assignment| {
        let name = (one.name.table.as_str(), one.name.column.as_str());
        name == ("nodelist", "groups") && one.how != How::Clear && !one.value.is_empty()
    };
    match edit {
        Edit::Assign(list) if conditions.is_empty() && list.iter().any(groups) => Ok(()),
        _ => Err(Usage(
            "--new: nodelist.groups=GROUP,... is needed, and no condition".into(),
        )),
    }
}

fn as_they_stand(range: &str, strict: bool, input: &mut dyn Read) -> Result<Vec<String>, Error> {
    let found = expand_unverified(range, input, strict)?;
    found.warnings.iter().for_each(warn);
    Ok(found.nodes.into_iter().collect())
}

fn removal(texts: &[&str]) -> Result<Edit, Usage> {
    match texts.iter().find(|text| text.contains(['.', '='])) {
        Some(text) => Err(Usage(format!("{text}: -d takes names of tables"))),
        None => Ok(Edit::Remove(
            texts.iter().map(ToString::to_string).collect(),
        )),
    }
}

fn keys(text: &str) -> Result<Vec<(String, String)>, Usage> {
    text.split(',')
        .map(|pair| match pair.split_once('=') {
            Some((column, value)) if !column.is_empty() => Ok((column.into(), value.into())),
            _ => Err(Usage(format!("{pair}: not of the form column=value"))),
        })
        .collect()
}

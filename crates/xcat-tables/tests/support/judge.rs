//! The rule of the lists of cases that are not met yet, `ID reason` per line.
#![allow(unreachable_pub)]

/// The cases in the text of a list.
pub fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
}

/// Checks every case by the list: a listed case that passes and an unlisted one that fails are both
/// failures, so the list can only shrink. Fifty cases may have one of them.
pub fn judge(list: &str, unmet: Vec<&str>, results: Vec<(String, Result<(), String>)>) {
    assert!(
        unmet.len() * 50 <= results.len(),
        "{list}: {} of {} cases are more than 2 %",
        unmet.len(),
        results.len()
    );
    for id in &unmet {
        assert!(
            results.iter().any(|(case, _)| case == id),
            "{list}: no case {id}"
        );
    }
    let mut wrong = Vec::new();
    for (id, result) in results {
        match result {
            Ok(()) if unmet.contains(&id.as_str()) => {
                wrong.push(format!("{id}: met, take it off the list"));
            }
            Err(why) if !unmet.contains(&id.as_str()) => wrong.push(format!("{id}: {why}")),
            _ => {}
        }
    }
    let count = wrong.len();
    assert!(
        wrong.is_empty(),
        "{list}: {count} cases:\n{}",
        wrong.join("\n")
    );
}

//! The rule of the list of cases that are not met.
#![allow(unreachable_pub)]

/// `[SET]`, then `ID reason` per line.
const UNMET: &str = include_str!("../vectors/unmet.txt");

/// Checks every case of a set by the list: a listed case that passes and an unlisted one that fails
/// are both failures, so the list can only shrink. Fifty cases may have one of them.
pub fn judge(set: &str, results: Vec<(String, Result<(), String>)>) {
    let unmet = listed(set);
    assert!(
        unmet.len() * 50 <= results.len(),
        "{set}: {} of {} cases are more than 2 %",
        unmet.len(),
        results.len()
    );
    for id in &unmet {
        assert!(
            results.iter().any(|(case, _)| case == id),
            "{set}: no case {id}"
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
        "{set}: {count} cases:\n{}",
        wrong.join("\n")
    );
}

fn listed(set: &str) -> Vec<&'static str> {
    let heading = format!("[{set}]");
    let lines = UNMET.lines().skip_while(|line| *line != heading).skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

//! The faults that a BMC has now.

use crate::{Fault, Rule};

/// Rules in the order in which they were set.
#[derive(Debug, Default)]
pub(crate) struct Rules(Vec<Rule>);

impl Rules {
    pub(crate) fn add(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// What the first rule that fits the request says; it counts as used.
    pub(crate) fn take<T>(&mut self, what: &str, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        for rule in &mut self.0 {
            if rule.times == Some(0) || !what.contains(&rule.on) {
                continue;
            }
            let Some(picked) = pick(&rule.fault) else {
                continue;
            };
            if rule.after > 0 {
                rule.after -= 1;
                continue;
            }
            if let Some(times) = &mut rule.times {
                *times -= 1;
            }
            return Some(picked);
        }
        None
    }

    /// What a standing fault says, whatever is asked; nothing is counted.
    pub(crate) fn standing<T>(&self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(|rule| pick(&rule.fault))
    }

    pub(crate) fn has(&self, fault: &Fault) -> bool {
        self.0.iter().any(|rule| rule.fault == *fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_count() {
        let mut rules = Rules::default();
        rules.add(Rule::from(Fault::Hang).on("GET /a").after(1).times(2));
        let mut hangs = |what: &str| {
            rules
                .take(what, |fault| (*fault == Fault::Hang).then_some(()))
                .is_some()
        };
        assert!(!hangs("GET /b"));
        let seen: Vec<bool> = (0..4).map(|_| hangs("GET /a/b")).collect();
        assert_eq!(seen, [false, true, true, false]);
    }
}

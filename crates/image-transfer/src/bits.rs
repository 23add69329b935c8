//! A set of frame numbers.

/// One bit for each frame of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
    count: usize,
}

impl Bits {
    pub(crate) fn new(len: usize) -> Bits {
        Bits {
            words: vec![0; len.div_ceil(64)],
            len,
            count: 0,
        }
    }

    pub(crate) fn has(&self, at: usize) -> bool {
        let word = self.words.get(at / 64).copied().unwrap_or(0);
        word >> (at % 64) & 1 == 1
    }

    /// True if it was not there.
    pub(crate) fn insert(&mut self, at: usize) -> bool {
        let new = at < self.len && !self.has(at);
        if new && let Some(word) = self.words.get_mut(at / 64) {
            *word |= 1 << (at % 64);
            self.count += 1;
        }
        new
    }

    /// True if it was there.
    pub(crate) fn remove(&mut self, at: usize) -> bool {
        let there = self.has(at);
        if there && let Some(word) = self.words.get_mut(at / 64) {
            *word &= !(1 << (at % 64));
            self.count -= 1;
        }
        there
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count == self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.walk(0, |word, at| self.words.get(at).map_or(0, |own| own & word))
    }

    /// Members that are not in `without`, from a place on and around.
    pub(crate) fn minus<'a>(
        &'a self,
        without: &'a Bits,
        from: usize,
    ) -> impl Iterator<Item = usize> + 'a {
        self.walk(from, move |word, at| {
            let own = self.words.get(at).copied().unwrap_or(0);
            word & own & !without.words.get(at).copied().unwrap_or(0)
        })
    }

    /// What is missing, from a place on and around.
    pub(crate) fn missing(&self, from: usize) -> impl Iterator<Item = usize> {
        self.walk(from, |word, at| {
            word & !self.words.get(at).copied().unwrap_or(0)
        })
    }

    /// Numbers whose bits `word` leaves of all ones, from a place on and around.
    fn walk<'a>(
        &'a self,
        from: usize,
        word: impl Fn(u64, usize) -> u64 + 'a,
    ) -> impl Iterator<Item = usize> + 'a {
        let from = if self.len == 0 { 0 } else { from % self.len };
        let (first, words) = (from / 64, self.words.len());
        // The first word comes twice: from the place on, and at the end what is before it.
        (0..=words).flat_map(move |step| {
            let at = (first + step) % words.max(1);
            let mask = match step {
                0 => u64::MAX << (from % 64),
                step if step == words => !(u64::MAX << (from % 64)),
                _ => u64::MAX,
            };
            let mut left = if words == 0 { 0 } else { word(mask, at) };
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(at * 64 + bit)
            })
            .filter(|number| *number < self.len)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Bits;

    fn set(len: usize, members: &BTreeSet<usize>) -> Bits {
        let mut bits = Bits::new(len);
        members.iter().for_each(|member| {
            bits.insert(*member);
        });
        bits
    }

    proptest! {
        #[test]
        fn as_a_set(len in 0..300_usize, one: BTreeSet<u8>, other: BTreeSet<u8>, from in 0..400_usize) {
            let within = |set: &BTreeSet<u8>| set.iter().map(|m| usize::from(*m)).filter(|m| *m < len).collect::<BTreeSet<_>>();
            let (one, other) = (within(&one), within(&other));
            let (mut a, b) = (set(len, &one), set(len, &other));
            prop_assert_eq!(a.count(), one.len());
            prop_assert_eq!(a.iter().collect::<BTreeSet<_>>(), one.clone());
            let minus: Vec<usize> = a.minus(&b, from).collect();
            prop_assert_eq!(minus.len(), one.difference(&other).count());
            prop_assert_eq!(minus.iter().copied().collect::<BTreeSet<_>>(), one.difference(&other).copied().collect::<BTreeSet<_>>());
            let missing: Vec<usize> = a.missing(from).collect();
            prop_assert_eq!(missing.len(), len - one.len());
            if let Some(first) = missing.first() {
                let start = from % len;
                let nearest = (start..len).chain(0..start).find(|at| !one.contains(at));
                prop_assert_eq!(Some(*first), nearest);
            }
            for member in &other {
                a.remove(*member);
            }
            prop_assert_eq!(a.iter().collect::<BTreeSet<_>>(), one.difference(&other).copied().collect());
        }
    }
}

//! Who is whose peer in a run.

/// Up to so many members each one has all others for peers.
const SMALL: usize = 17;

/// The peers of member `at` of `count`: all others, or those at distances 1, 2, 4, 8, ... on both
/// sides of a ring. Who has somebody for a peer is his peer too, and nobody is far from anybody.
pub(crate) fn peers(at: usize, count: usize) -> Vec<usize> {
    if at >= count {
        return Vec::new();
    }
    if count <= SMALL {
        return (0..count).filter(|other| *other != at).collect();
    }
    let distances = std::iter::successors(Some(1), |distance| Some(distance * 2));
    let mut peers: Vec<usize> = distances
        .take_while(|distance| *distance <= count / 2)
        .flat_map(|distance| [(at + distance) % count, (at + count - distance) % count])
        .collect();
    peers.sort_unstable();
    peers.dedup();
    peers
}

#[cfg(test)]
mod tests {
    use super::peers;

    #[test]
    fn peers_are_each_others_and_few() {
        for count in [0, 1, 2, 3, 16, 17, 18, 19, 32, 33, 64, 100, 1000] {
            for at in 0..count {
                let own = peers(at, count);
                assert!(own.len() <= 24 && !own.contains(&at));
                assert!(own.iter().all(|other| peers(*other, count).contains(&at)));
            }
        }
        assert_eq!(peers(0, 3), [1, 2]);
        assert!(peers(3, 3).is_empty());
    }
}

//! Every defect that was put in on purpose is found, by what it says finds it.

use parlor_sim::checks::Guarantee;
use parlor_sim::seeded::{Seeded, all};

/// Of every second defect, since there are as many cores.
fn are_found(half: usize) {
    let missed = |seeded: &Seeded| match seeded.hunt() {
        Ok(find) => {
            println!("{}: {find}", seeded.name);
            None
        }
        Err(instead) => Some(format!("{}: {instead}", seeded.name)),
    };
    let missed: Vec<String> = all().skip(half).step_by(2).filter_map(missed).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn one_half_is_found() {
    are_found(0);
}

#[test]
fn the_other_half_is_found() {
    are_found(1);
}

#[test]
fn each_guarantee_is_broken_by_one() {
    // C1 is about a batch of runs, not about what the subject does.
    for guarantee in Guarantee::ALL.iter().filter(|guarantee| **guarantee != Guarantee::C1) {
        assert!(all().any(|seeded| seeded.breaks[0] == *guarantee), "{guarantee}");
    }
}

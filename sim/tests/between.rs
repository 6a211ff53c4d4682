//! Whoever comes in between the parts of a call gets what is its own, and so does everybody else.

use parlor_sim::search::between::{PartsReport, run};

#[test]
fn inputs_between_the_parts_of_a_call_lose_no_message() {
    let mut all = PartsReport::default();
    for seed in 0..40 {
        let done = run(seed).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        all =
            PartsReport { parts: all.parts + done.parts, inputs: all.inputs + done.inputs, read: all.read + done.read };
    }
    assert!(all.parts > 5_000 && all.inputs > 3_000 && all.read > 5_000, "{all:?}");
}

//! A find told so that a person understands the defect from it alone.

use super::Defect;
use crate::action::Action;
use crate::explore::Broken;
use crate::speech::{room_name, user_name};
use crate::subject::Subject;
use crate::world::World;
use std::fmt::Write;

/// The search for each of these defects and its finds, and how many there are.
#[must_use]
pub fn tell<S: Subject + Clone>(defects: &[Defect]) -> (String, usize) {
    let mut text = String::new();
    let mut found = 0;
    for (number, defect) in (1..).zip(defects) {
        let _ = writeln!(text, "{number}. {}", defect.name);
        match defect.hunt::<S>() {
            Err(broken) if defect.is_found_by(&broken) => {
                found += 1;
                text.push_str(&find::<S>(defect, &broken));
            }
            Err(broken) => {
                let steps = broken.trace.actions.len();
                let _ = writeln!(text, "   not found in {} steps; after {steps}: {}\n", defect.steps, broken.failure);
            }
            Ok(all) => {
                let _ = writeln!(text, "   not found in the {} states of its scope\n", all.states);
            }
        }
    }
    if found > 0 {
        text.insert_str(
            0,
            "ws0.0 is the websocket in slot 0 in its first life; what is not told of one is that it is open.\n\n",
        );
    }
    (text, found)
}

/// The line that says it all.
#[must_use]
pub fn count(subject: &str, found: usize, of: usize) -> String {
    match found {
        0 => format!("{subject}: none of the {of} defects found"),
        _ => format!("{subject}: {found} of {of} defects found"),
    }
}

fn find<S: Subject + Clone>(defect: &Defect, broken: &Broken) -> String {
    let failure = &broken.failure;
    let mut text = format!("   {}: {}\n\n", failure.guarantee, failure.guarantee.sentence());
    let mut world = World::<S>::new(&defect.setup);
    for (number, action) in (1..).zip(&broken.trace.actions) {
        let _ = writeln!(text, "   {number}  {}", in_words(action, defect.setup.users));
        // The last one fails: that is the find.
        let _ = world.act(action);
        for note in world.subject().notes() {
            let _ = writeln!(text, "        {note}");
        }
    }
    let _ = writeln!(text, "\n   expected  {}\n   saw       {}", failure.expected, failure.saw);
    let _ = writeln!(text, "   python    {}", defect.python);
    let trace: Vec<String> = broken.trace.actions.iter().map(ToString::to_string).collect();
    let _ = writeln!(text, "   trace     {}; {}\n", broken.trace.setup, trace.join("; "));
    text
}

fn in_words(action: &Action, users: u64) -> String {
    match *action {
        Action::Enter(peer, rooms) => {
            let room = room_name(rooms.0.trailing_zeros() as usize);
            let user = u64::from(peer.0).checked_rem(users).and_then(|user| usize::try_from(user).ok());
            let user = user.map(|user| format!(" as {}", user_name(user)));
            format!("client {} connects to /ws/{room}{}", peer.0, user.unwrap_or_default())
        }
        Action::Violate(peer, _) => format!("client {} sends a binary message: receive_text() raises", peer.0),
        Action::Lose(peer, _) => format!("the socket of client {} dies", peer.0),
        Action::Write(peer, _) => format!("the socket of client {} takes what waits for it", peer.0),
        Action::Announce(room, _) => format!("a backend sends to {}", room_name(room.index())),
        Action::TellAll(_) => "a backend sends to everybody".into(),
        _ => action.to_string(),
    }
}

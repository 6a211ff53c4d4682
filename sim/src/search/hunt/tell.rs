//! A find told so that a person understands the defect from it alone.

use crate::search::explore::Counterexample;
use crate::search::hunt::historic_defect::HistoricDefect;
use crate::search::report::COMMAND;
use crate::subjects::naive::name;
use crate::subjects::subject::Subject;
use crate::world::World;
use crate::world::action::Action;
use crate::world::names::{room_name, user_name};
use parlor_core::ConnId;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The search for each of these defects and its finds, and how many there are. `subject` is what `parlor-sim` knows it by.
#[must_use]
pub fn tell<S: Subject + Clone>(subject: &str, defects: &[HistoricDefect]) -> (String, usize) {
    let mut text = String::new();
    let mut found = 0;
    for (number, defect) in (1..).zip(defects) {
        let _ = writeln!(text, "{number}. {}", defect.name);
        match defect.hunt::<S>() {
            Err(broken) if defect.is_found_by(&broken) => {
                found += 1;
                text.push_str(&find::<S>(subject, defect, &broken));
            }
            Err(broken) if broken.unfinished => {
                let _ =
                    writeln!(text, "   not found in the first {} states of its scope, which has more\n", broken.states);
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
        text.insert_str(0, LEGEND);
    }
    (text, found)
}

const LEGEND: &str = "ws0.0 is the websocket in slot 0 in its first life; what is not told of one is that it is open. #u0 is the \
                      personal room of user u0,\nwhich for the manager is the user's entry.\n\n";

/// The line that says it all.
#[must_use]
pub fn count(subject: &str, found: usize, of: usize) -> String {
    match found {
        0 if subject == "parlor" => format!("parlor: none of the {of} defects found, as it should be"),
        0 => format!("{subject}: none of the {of} defects found"),
        _ => format!("{subject}: {found} of {of} defects found"),
    }
}

fn find<S: Subject + Clone>(subject: &str, defect: &HistoricDefect, broken: &Counterexample) -> String {
    let failure = &broken.failure;
    let mut text = format!("   {}: {}\n\n", failure.guarantee, failure.guarantee.sentence());
    let mut world = World::<S>::new(&defect.setup);
    let mut sockets = BTreeSet::new();
    for (number, action) in (1..).zip(&broken.trace.actions) {
        let _ = writeln!(text, "   {number}  {}", in_words(action, defect.setup.users));
        // The last one fails: that is the find.
        let _ = world.act(action);
        sockets.extend(world.subject().snapshot().conns.into_iter().map(|view| view.id));
        for note in world.subject().notes() {
            let _ = writeln!(text, "        {note}");
        }
    }
    let [expected, saw] = [&failure.expected, &failure.saw].map(|words| with_names(words, &sockets));
    let _ = writeln!(text, "\n   expected  {expected}\n   saw       {saw}");
    let _ = writeln!(text, "   python    {}", defect.python);
    let trace = broken.trace.in_one_line();
    let _ = writeln!(text, "   repeat    echo \"{trace}\" | {COMMAND} replay - --subject {subject}\n");
    text
}

/// The reference model's words, in which these sockets are called what the manager calls them.
fn with_names(words: &str, sockets: &BTreeSet<ConnId>) -> String {
    sockets.iter().fold(words.to_owned(), |words, id| {
        let (written, words) = (id.to_string(), words.replace(&format!("{id:?}"), &name(*id)));
        let is_between = |char: char| !char.is_alphanumeric() && char != '.';
        let renamed = words.split_inclusive(is_between).map(|word| match word.strip_prefix(&written) {
            Some(rest) if rest.chars().all(is_between) => format!("{}{rest}", name(*id)),
            _ => word.into(),
        });
        renamed.collect()
    })
}

fn in_words(action: &Action, users: u64) -> String {
    match *action {
        Action::Enter(client, rooms) => {
            let room = room_name(rooms.0.trailing_zeros() as usize);
            let user = u64::from(client.0).checked_rem(users).and_then(|user| usize::try_from(user).ok());
            let user = user.map(|user| format!(" as {}", user_name(user)));
            format!("client {} connects to /ws/{room}{}", client.0, user.unwrap_or_default())
        }
        Action::Violate(client, _) => format!("client {} sends a binary message: receive_text() raises", client.0),
        Action::Lose(client, _) => format!("the socket of client {} dies", client.0),
        Action::Write(client, _) => format!("the socket of client {} takes what waits for it", client.0),
        Action::ApiPublish(room, _) => format!("a backend sends to {}", room_name(room.index())),
        Action::ApiPublishAll(_) => "a backend sends to everybody".into(),
        _ => action.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_ids_are_replaced_by_names_of_sockets() {
        let sockets = BTreeSet::from([ConnId::from_parts(1, 0), ConnId::from_parts(11, 0)]);
        let words = "1 frames for 1.0: [ConnId { slot: 11, generation: 0 }] 11.0 ws1.0 21.0 1.05 1.0";
        assert_eq!(with_names(words, &sockets), "1 frames for ws1.0: [ws11.0] ws11.0 ws1.0 21.0 1.05 ws1.0");
    }

    #[test]
    fn finding_nothing_is_expected_of_parlor_only() {
        assert_eq!(count("parlor", 0, 7), "parlor: none of the 7 defects found, as it should be");
        assert_eq!(count("v0", 0, 4), "v0: none of the 4 defects found");
    }
}

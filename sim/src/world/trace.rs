//! A trace as text: a line for the setup, then a line for each action. A `;` ends a line too, so that a trace can be
//! written in one, and what follows a `#` is a remark, up to where the text goes on in the next line.

use crate::world::action::Action;
use crate::world::setup::Setup;
use std::fmt;
use std::str::FromStr;

/// All that it takes to repeat a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The world.
    pub setup: Setup,
    /// The actions.
    pub actions: Vec<Action>,
}

impl Trace {
    /// The same in one line, as it can be given to `echo`.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        self.to_string().trim_end().replace('\n', "; ")
    }

    /// Checks that its world has every client, room and user that it names. A trace that was cut or drawn may name others:
    /// an action of theirs does nothing.
    ///
    /// # Errors
    /// The first action that names another, and how many there are.
    pub fn check_names(&self) -> Result<(), String> {
        let Setup { conns, rooms, users, .. } = self.setup;
        match (1..).zip(&self.actions).find(|(_, action)| !action.fits(&self.setup)) {
            None => Ok(()),
            Some((number, action)) => Err(format!(
                "action {number}, \"{action}\", names what this world does not have: there are conns={conns} rooms={rooms} \
                 users={users}, and the first of each is 0"
            )),
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setup)?;
        self.actions.iter().try_for_each(|action| writeln!(f, "{action}"))
    }
}

impl FromStr for Trace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let without_remark = |line: &'_ str| line.split('#').next().unwrap_or_default().to_owned();
        let text: Vec<String> = text.lines().map(without_remark).collect();
        let mut lines = text.iter().flat_map(|line| line.split(';')).map(str::trim).filter(|line| !line.is_empty());
        let setup = lines.next().ok_or("a trace begins with its setup")?.parse()?;
        let actions = lines.map(|line| line.parse()).collect::<Result<_, _>>()?;
        Ok(Self { setup, actions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_reads_back_from_many_lines_and_from_one() {
        let text = "# what was wrong; and when\nsetup conns=1 ; enter 0 1\n\nflush; lose 0 eof; # gone; flush\nheal\n";
        let trace: Trace = text.parse().expect("a trace");
        assert_eq!(trace.in_one_line(), "setup conns=1; enter 0 1; flush; lose 0 eof; heal");
        assert_eq!(trace.in_one_line().parse(), Ok(trace.clone()));
        assert_eq!(trace.to_string().parse(), Ok(trace));
    }

    #[test]
    fn an_unknown_client_room_or_user_is_an_error_that_names_the_known_ones() {
        let checked = |text: &str| text.parse::<Trace>().expect("a trace").check_names();
        assert_eq!(checked("setup conns=1 rooms=1 users=1; enter 0 1; decide 0 good 0"), Ok(()));
        for wrong in ["enter 1 1", "enter 0 2", "decide 0 good 1", "join 0 1"] {
            let error =
                checked(&format!("setup conns=1 rooms=1 users=1; flush; {wrong}")).expect_err("there is no such");
            let expected =
                format!("action 2, \"{wrong}\", names what this world does not have: there are conns=1 rooms=1");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}

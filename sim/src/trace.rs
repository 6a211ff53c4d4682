//! A trace as text: a line for the setup, then a line for each action. What follows a `#` is a remark.

use crate::action::Action;
use crate::setup::Setup;
use std::fmt;
use std::str::FromStr;

/// All that it takes to repeat a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The world.
    pub setup: Setup,
    /// What happens in it.
    pub actions: Vec<Action>,
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
        let without_remark = |line: &'_ str| line.split('#').next().unwrap_or_default().trim().to_owned();
        let mut lines = text.lines().map(without_remark).filter(|line| !line.is_empty());
        let setup = lines.next().ok_or("a trace begins with its setup")?.parse()?;
        let actions = lines.map(|line| line.parse()).collect::<Result<_, _>>()?;
        Ok(Self { setup, actions })
    }
}

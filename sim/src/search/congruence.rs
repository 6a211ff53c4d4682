//! Checks that states which a search takes for one are one: a key that forgets too much lets a search end early, and that goes
//! unnoticed.

use crate::search::canon::StateKey;
use crate::search::explore::{Scope, is_sensible};
use crate::subjects::subject::Subject;
use crate::world::World;
use crate::world::action::Action;
use std::collections::{BTreeMap, VecDeque};

/// Searches a scope by name, and compares every state that has the key of another with that one: all that can happen
/// next must be the same, and must lead both to equal keys. Returns how many were compared.
///
/// # Errors
/// Two states with one key and different futures.
pub fn compare_merged<S: Subject + Clone>(scope: &Scope) -> Result<usize, String> {
    let scope = &scope.clone().raw();
    let world = scope.world::<S>();
    let mut queue = VecDeque::from([scope.key(&world)]);
    let mut worlds = BTreeMap::from([(queue[0], world)]);
    let mut compared = 0;
    while let Some(number) = queue.pop_front() {
        let world = worlds[&number].clone();
        for action in &scope.actions {
            let Some((reached, after)) = step(scope, &world, action) else { continue };
            if let Some(other) = worlds.get(&reached) {
                scope.actions.iter().try_for_each(|next| compare(scope, &after, other, next))?;
                compared += 1;
            } else {
                queue.push_back(reached);
                worlds.insert(reached, after);
            }
        }
    }
    Ok(compared)
}

/// Where an action leads, if a search would take it.
fn step<S: Subject + Clone>(scope: &Scope, world: &World<S>, action: &Action) -> Option<(StateKey, World<S>)> {
    if !world.can(action) || (scope.orderly && !is_sensible(world, action)) {
        return None;
    }
    let mut after = world.clone();
    after.act(action).ok()?;
    Some((scope.key(&after), after))
}

fn compare<S: Subject + Clone>(scope: &Scope, one: &World<S>, other: &World<S>, action: &Action) -> Result<(), String> {
    let [first, second] = [one, other].map(|world| step(scope, world, action));
    if first.as_ref().map(|(key, _)| key) == second.as_ref().map(|(key, _)| key) {
        return Ok(());
    }
    let tell = |world: &World<S>, after: Option<&(StateKey, World<S>)>| {
        let state = |world: &World<S>| [world.describe(), world.describe_rooms()].concat().join(" | ");
        format!("{}\n  -> {}", state(world), after.map_or_else(|| "no step".into(), |(_, after)| state(after)))
    };
    Err(format!(
        "one key, and yet {action} leads elsewhere:\n  {}\nand\n  {}",
        tell(one, first.as_ref()),
        tell(other, second.as_ref())
    ))
}

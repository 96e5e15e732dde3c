//! A consumer group inside one process: shares items 0..n out over members, and gives none to a new member before the
//! old one has let go of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use crate::log::Waker;

/// All groups of the log, by name.
#[derive(Default)]
pub(super) struct Groups(Mutex<HashMap<String, Arc<Group>>>);

impl Groups {
    pub(super) fn named(&self, name: &str, num_items: i32) -> Arc<Group> {
        let mut groups = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        groups
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Group::new(num_items)))
            .clone()
    }
}

/// One group.
pub(super) struct Group {
    num_items: i32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_member: u64,
    members: BTreeMap<u64, Waker>,
    owners: HashMap<i32, u64>,
}

/// What a member should change now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) assigned: Vec<i32>,
    pub(super) to_release: Vec<i32>,
}

impl Group {
    fn new(num_items: i32) -> Self {
        Self {
            num_items,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn join(&self, waker: Waker) -> u64 {
        let mut state = self.state();
        let member = state.next_member;
        state.next_member += 1;
        state.members.insert(member, waker);
        state.wake_all();
        member
    }

    pub(super) fn leave(&self, member: u64) {
        let mut state = self.state();
        state.members.remove(&member);
        state.owners.retain(|_, owner| *owner != member);
        state.wake_all();
    }

    /// Compares what the member holds with what it should hold; free items are taken at once.
    pub(super) fn sync(&self, member: u64) -> Changes {
        let mut state = self.state();
        let wanted: BTreeSet<i32> = match state.members.keys().position(|known| *known == member) {
            Some(rank) => {
                let num_members = state.members.len();
                (0..self.num_items)
                    .filter(|item| *item as usize % num_members == rank)
                    .collect()
            }
            None => BTreeSet::new(),
        };
        let mut changes = Changes::default();
        for item in 0..self.num_items {
            let owner = state.owners.get(&item).copied();
            if owner == Some(member) && !wanted.contains(&item) {
                changes.to_release.push(item);
            } else if owner.is_none() && wanted.contains(&item) {
                state.owners.insert(item, member);
                changes.assigned.push(item);
            }
        }
        changes
    }

    pub(super) fn release(&self, member: u64, items: &[i32]) {
        let mut state = self.state();
        state
            .owners
            .retain(|item, owner| *owner != member || !items.contains(item));
        state.wake_all();
    }
}

impl State {
    fn wake_all(&self) {
        self.members.values().for_each(|waker| waker());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent() -> Waker {
        Arc::new(|| {})
    }

    #[test]
    fn one_member_has_it_all() {
        let group = Group::new(3);
        let member = group.join(silent());
        assert_eq!(group.sync(member).assigned, [0, 1, 2]);
        assert_eq!(group.sync(member), Changes::default());
    }

    #[test]
    fn an_item_moves_only_after_its_owner_has_let_go() {
        let group = Group::new(4);
        let first = group.join(silent());
        group.sync(first);
        let second = group.join(silent());
        assert_eq!(group.sync(second), Changes::default(), "nothing is free yet");
        assert_eq!(group.sync(first).to_release, [1, 3]);
        group.release(first, &[1, 3]);
        assert_eq!(group.sync(second).assigned, [1, 3]);
    }

    #[test]
    fn what_a_dead_member_held_goes_to_the_living() {
        let group = Group::new(2);
        let first = group.join(silent());
        let second = group.join(silent());
        assert_eq!(group.sync(first).assigned, [0]);
        assert_eq!(group.sync(second).assigned, [1]);
        group.leave(first);
        assert_eq!(group.sync(second).assigned, [0]);
    }
}

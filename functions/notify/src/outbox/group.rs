//! What is told together: a storm is one message.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::Owed;
use crate::channel::{MAX_BATCH, Manner};
use crate::event::Phase;
use crate::settings::Telling;

/// Gives each of a channel's rows the key of the message that tells it, and what it is told under.
/// Rows come in the order of what happened, without either, except that `thread` is what their
/// incident was told under before.
pub(super) fn group(owed: &mut [Owed], manner: Manner, telling: &Telling) {
    match manner {
        Manner::Tells => storms(owed.iter_mut().collect(), telling),
        Manner::KeepsIncidents => {
            let mut begun = HashSet::new();
            let begins: Vec<&mut Owed> = owed
                .iter_mut()
                .filter(|one| {
                    one.thread.is_none()
                        && one.notice.event.phase() == Phase::Begins
                        && begun.insert(one.incident)
                })
                .collect();
            storms(begins, telling);
            threads(owed);
        }
        Manner::IsReminded => {
            for batch in owed.chunks_mut(MAX_BATCH) {
                let message = Uuid::now_v7();
                for one in batch {
                    one.message = message;
                    one.thread = Some(one.notice.key);
                }
            }
        }
    }
}

/// Those with the same value of a label, if there are two or more; all others, if there are many;
/// else one by one.
fn storms(owed: Vec<&mut Owed>, telling: &Telling) {
    let label = telling.group_by.as_ref();
    let mut together: BTreeMap<(&str, Option<String>), Vec<&mut Owed>> = BTreeMap::new();
    for one in owed {
        let value = label.and_then(|label| one.notice.labels.get(label));
        let group = (one.notice.event.word(), value.cloned());
        together.entry(group).or_default().push(one);
    }
    let mut rest: BTreeMap<&str, Vec<&mut Owed>> = BTreeMap::new();
    for ((event, value), members) in together {
        if value.is_some() && members.len() > 1 {
            tell_together(members);
        } else {
            rest.entry(event).or_default().extend(members);
        }
    }
    for members in rest.into_values() {
        if telling.group_over.is_some_and(|most| members.len() > most) {
            tell_together(members);
        } else {
            members.into_iter().for_each(|one| tell_together(vec![one]));
        }
    }
}

fn tell_together(members: Vec<&mut Owed>) {
    let message = Uuid::now_v7();
    let is_storm = members.len() > 1;
    for one in members {
        one.message = message;
        one.thread = Some(if is_storm { message } else { one.notice.key });
    }
}

/// How it goes on with what the receiver was told under one key, in one message.
fn threads(owed: &mut [Owed]) {
    let begun: HashMap<i64, Uuid> = owed
        .iter()
        .filter_map(|one| Some((one.incident, one.thread?)))
        .collect();
    let mut messages: HashMap<(&str, Uuid), Uuid> = HashMap::new();
    for one in owed.iter_mut().filter(|one| one.message.is_nil()) {
        let known = begun.get(&one.incident).copied();
        let thread = *one.thread.insert(known.unwrap_or(one.notice.key));
        one.message = *messages
            .entry((one.notice.event.word(), thread))
            .or_insert_with(Uuid::now_v7);
    }
}

//! Which sites a page draws, and in which groups: what is not up before everything else, and of what
//! is up as many in each group.

use std::collections::HashMap;
use std::ops::Range;

use crate::counts::Counts;
use crate::read::sites::Site;
use crate::states;

/// The most groups that a page shows: a thousand headings are 0.2 MB of it.
const GROUPS: usize = 1_000;

/// All lines of sites by their groups, as they are read.
#[derive(Default)]
pub(super) struct Groups {
    /// Where each stands below, by the value of its label.
    by_value: HashMap<Option<String>, usize>,
    all: Vec<Group>,
    /// Of each line, in their order, its group and whether it is up.
    lines: Vec<(usize, bool)>,
}

/// The sites that have the same value of a label.
#[derive(Default)]
pub(super) struct Group {
    /// `None`: those without the label, and all of them where no label groups.
    pub(super) value: Option<String>,
    /// Its sites.
    pub(super) counts: Counts,
    /// Those of them that are drawn.
    pub(super) drawn: Counts,
    /// Where their lines are among all that are drawn.
    pub(super) sites: Range<usize>,
    up_lines: usize,
}

impl Groups {
    /// Adds the next line.
    pub(super) fn add(&mut self, site: &Site) {
        let at = match self.by_value.get(&site.group) {
            Some(at) => *at,
            None => {
                self.by_value.insert(site.group.clone(), self.all.len());
                self.all.push(Group {
                    value: site.group.clone(),
                    ..Group::default()
                });
                self.all.len() - 1
            }
        };
        let is_up = site.line.state == states::UP;
        self.lines.push((at, is_up));
        if let Some(group) = self.all.get_mut(at) {
            group.up_lines += usize::from(is_up);
            if site.is_first {
                group.counts.add(site.line.verdict);
            }
        }
    }

    /// Whether each line is drawn, at most so many, up to the last one that is.
    pub(super) fn draw(&self, at_most: usize) -> Vec<bool> {
        let not_up = self.lines.iter().filter(|(_, is_up)| !is_up).count();
        let up_lines = self.all.iter().map(|group| group.up_lines).collect();
        let share = share(up_lines, at_most.saturating_sub(not_up));
        let mut left: Vec<usize> = vec![share; self.all.len()];
        let mut left_not_up = at_most;
        let mut drawn: Vec<bool> = self
            .lines
            .iter()
            .map(|(group, is_up)| {
                let left = match left.get_mut(*group) {
                    Some(left) if *is_up => left,
                    _ => &mut left_not_up,
                };
                let is_drawn = *left > 0;
                *left = left.saturating_sub(1);
                is_drawn
            })
            .collect();
        let end = drawn.iter().rposition(|is_drawn| *is_drawn);
        drawn.truncate(end.map_or(0, |last| last + 1));
        drawn
    }

    /// The groups by value, those without one last, and what is in groups beyond the number of those
    /// that a page shows, of which all that are up are the first to be left out. The sites that are
    /// drawn are brought into the order of their groups.
    pub(super) fn divide(mut self, sites: &mut Vec<Site>) -> (Vec<Group>, Counts) {
        let group_of = |site: &Site| self.by_value.get(&site.group).copied().unwrap_or_default();
        for site in sites.iter() {
            if let Some(group) = self.all.get_mut(group_of(site)) {
                group.sites.end += 1;
                if site.is_first {
                    group.drawn.add(site.line.verdict);
                }
            }
        }
        let mut numbered: Vec<(usize, Group)> = self.all.into_iter().enumerate().collect();
        let order = |group: &Group| (group.value.is_none(), group.value.clone());
        numbered.sort_by_cached_key(|(_, group)| (group.is_up(), order(group)));
        let rest = numbered.split_off(GROUPS.min(numbered.len()));
        numbered.sort_by_cached_key(|(_, group)| order(group));

        let mut places = vec![usize::MAX; numbered.len() + rest.len()];
        let mut from = 0;
        for (place, (number, group)) in numbered.iter_mut().enumerate() {
            group.sites = from..from + group.sites.end;
            from = group.sites.end;
            if let Some(at) = places.get_mut(*number) {
                *at = place;
            }
        }
        sites.sort_by_cached_key(|site| places.get(group_of(site)).copied());
        sites.truncate(from);

        let mut left = Counts::default();
        for (_, group) in rest {
            left += group.counts;
        }
        (numbered.into_iter().map(|(_, group)| group).collect(), left)
    }
}

impl Group {
    /// Whether all of its sites are.
    pub(super) fn is_up(&self) -> bool {
        self.counts.up == self.counts.all()
    }
}

/// The most that each may have, so that together they have no more than there is.
fn share(mut wanted: Vec<usize>, mut there_is: usize) -> usize {
    wanted.sort_unstable();
    let mut waiting = wanted.len();
    for wants in wanted {
        let share = there_is / waiting;
        if wants > share {
            return share;
        }
        there_is -= wants;
        waiting -= 1;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wants_little_leaves_more_to_others() {
        for (wanted, there_is, expected) in [
            (vec![3, 5], 8, usize::MAX),
            (vec![3, 5], 7, 4),
            (vec![1, 9, 9], 9, 4),
            (vec![4, 4, 4], 2, 0),
            (vec![7], 5, 5),
            (vec![0, 0], 0, usize::MAX),
            (vec![], 5, usize::MAX),
        ] {
            let shared: usize = wanted.iter().map(|wants| expected.min(*wants)).sum();
            assert!(shared <= there_is);
            assert_eq!(share(wanted.clone(), there_is), expected, "{wanted:?}");
        }
    }

    #[test]
    fn what_is_not_up_is_drawn_before_everything_else() {
        let drawn = |lines: &[(usize, bool)], at_most| {
            let mut groups = Groups::default();
            groups.all.resize_with(3, Group::default);
            for (at, is_up) in lines {
                groups.lines.push((*at, *is_up));
                groups.all[*at].up_lines += usize::from(*is_up);
            }
            let drawn = groups.draw(at_most);
            drawn
                .iter()
                .map(|is_drawn| if *is_drawn { 'x' } else { '-' })
                .collect::<String>()
        };
        let lines = [
            (0, false),
            (1, false),
            (0, true),
            (0, true),
            (0, true),
            (1, true),
            (2, true),
            (2, true),
        ];
        assert_eq!(drawn(&lines, 8), "xxxxxxxx");
        assert_eq!(drawn(&lines, 7), "xxxx-xxx");
        assert_eq!(drawn(&lines, 5), "xxx--xx");
        assert_eq!(drawn(&lines, 2), "xx");
        assert_eq!(drawn(&lines, 1), "x");
        assert_eq!(drawn(&[], 1), "");
    }
}

//! What a page shows to be typed.

use std::fmt::{self, Display, Formatter};
use std::fs;

use crate::documents::root;

/// A fenced block of `sh`, `bash` or `console`.
#[derive(Clone)]
pub(crate) struct Block {
    page: String,
    /// Of its first line in the page, from 1.
    line: usize,
    text: String,
}

impl Block {
    /// All of a page, which is named as it is from the repository's root.
    pub(super) fn all(page: &str) -> Vec<Self> {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let mut blocks = Vec::new();
        let mut lines = text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            let Some(language) = line.trim_start().strip_prefix("```") else {
                continue;
            };
            let indent = line.len() - line.trim_start().len();
            let content: String = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| line.trim_start() != "```")
                .map(|line| format!("{}\n", line.get(indent..).unwrap_or_default()))
                .collect();
            if ["sh", "bash", "console"].contains(&language) {
                blocks.push(Self {
                    page: page.to_owned(),
                    line: at + 2,
                    text: content,
                });
            }
        }
        blocks
    }

    pub(super) fn begins(&self, text: &str) -> bool {
        self.text.starts_with(text)
    }

    /// Declares that what the page says, an address or a path, is another one here.
    #[track_caller]
    pub(crate) fn replace(&self, said: &str, here: impl AsRef<str>) -> Self {
        assert!(self.text.contains(said), "{self} does not say {said:?}");
        Self {
            text: self.text.replace(said, here.as_ref()),
            ..self.clone()
        }
    }

    /// What a shell is given: all of it, or what stands after each `$ ` where output is shown too.
    pub(crate) fn script(&self) -> String {
        if !self.begins("$ ") {
            return self.text.clone();
        }
        let commands = self.text.lines().filter_map(|line| line.strip_prefix("$ "));
        commands.map(|command| format!("{command}\n")).collect()
    }

    /// The output that is shown.
    pub(super) fn output(&self) -> String {
        let output = self.text.lines().filter(|line| !line.starts_with("$ "));
        output.map(|line| format!("{line}\n")).collect()
    }

    /// The lines of the script that are commands, without what is said of them.
    pub(super) fn commands(&self) -> Vec<String> {
        self.script()
            .lines()
            .map(|line| line.split(" #").next().unwrap_or_default().trim())
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }
}

impl Display for Block {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let first = self.text.lines().next().unwrap_or_default();
        write!(f, "{}:{} `{first}`", self.page, self.line)
    }
}

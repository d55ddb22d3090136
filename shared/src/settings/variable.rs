//! What is known about one environment variable.

/// Which heading a variable stands under in `--help`, `.env.example` and `shared/README.md`, and who
/// reads it. In the order of `--help`: what a function is for comes before what it connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// `drain` alone.
    Drain,
    /// `setup` alone.
    Setup,
    /// `maintain` alone.
    Maintain,
    /// `report` alone.
    Report,
    /// `notify` alone.
    Notify,
    /// Which sites there are.
    Sites,
    /// What holds for sites that say nothing else.
    Checks,
    /// `probe` alone.
    Probe,
    /// How to reach Kafka.
    Kafka,
    /// How to reach PostgreSQL.
    Database,
    /// Every function: logs, `.env`, heartbeat.
    Run,
}

impl Group {
    /// The heading, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Kafka => "Kafka",
            Self::Database => "PostgreSQL",
            Self::Sites => "Sites",
            Self::Checks => "Checks: defaults for sites that set none",
            Self::Probe => "probe",
            Self::Drain => "drain",
            Self::Setup => "setup",
            Self::Maintain => "maintain",
            Self::Report => "report",
            Self::Notify => "notify",
            Self::Run => "Every function",
        }
    }

    /// The functions that read its variables, by name.
    fn readers(self) -> &'static [&'static str] {
        match self {
            Self::Sites | Self::Checks => &["setup", "probe"],
            Self::Kafka => &["setup", "probe", "drain"],
            Self::Probe => &["probe"],
            Self::Drain => &["drain"],
            Self::Setup => &["setup"],
            Self::Maintain => &["maintain"],
            Self::Report => &["report"],
            Self::Notify => &["notify"],
            Self::Database | Self::Run => {
                &["setup", "probe", "drain", "maintain", "report", "notify"]
            }
        }
    }
}

/// One environment variable: the single place that knows its name, default and meaning.
pub struct Variable {
    /// The name, upper case.
    pub name: &'static str,
    /// Where it is documented.
    pub group: Group,
    /// Other accepted names, in the order they are tried.
    pub aliases: &'static [&'static str],
    /// What holds when it is not set, in the variable's own notation; empty for nothing.
    pub default: &'static str,
    /// What the value looks like, to follow "wants".
    pub wants: &'static str,
    /// A value that works, for messages and documentation.
    pub example: &'static str,
    /// What it does and what leaving it out means.
    pub help: &'static str,
    /// Whether its value must never be shown. Secrets may come from the file that `NAME_FILE` names.
    pub secret: bool,
    /// The functions that read it, where they are not all of its group's.
    pub(super) read_by: &'static [&'static str],
}

impl Variable {
    /// What a catalogue entry starts from.
    pub(super) const EMPTY: Self = Self {
        name: "",
        group: Group::Run,
        aliases: &[],
        default: "",
        wants: "",
        example: "",
        help: "",
        secret: false,
        read_by: &[],
    };

    /// The name of the variable that names the file with this secret, if it is one.
    #[must_use]
    pub fn file_name(&self) -> Option<String> {
        self.secret.then(|| format!("{}_FILE", self.name))
    }

    /// Whether the function of this name reads it.
    #[must_use]
    pub fn is_read_by(&self, function: &str) -> bool {
        match self.read_by {
            [] => self.group.readers().contains(&function),
            readers => readers.contains(&function),
        }
    }

    /// All that there is to say of it: its meaning, default, file and other names, in sentences.
    #[must_use]
    pub fn about(&self) -> String {
        let mut about = self.help.to_owned();
        if !self.default.is_empty() {
            about += &format!(" Default: {}.", self.default);
        }
        if let Some(file) = self.file_name() {
            about += &format!(" Secret; or {file}=path.");
        }
        if !self.aliases.is_empty() {
            about += &format!(" Also read: {}.", self.aliases.join(", "));
        }
        about
    }
}

/// Declares the variables: a constant each, and the list of all.
macro_rules! catalogue {
    ($( $name:ident { $( $key:ident : $value:expr ),* $(,)? } )*) => {
        /// A constant for each variable.
        pub mod var {
            use super::super::variable::{Group::*, Variable};
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                pub static $name: Variable = Variable {
                    name: stringify!($name),
                    $( $key: $value, )*
                    ..Variable::EMPTY
                };
            )*
        }

        /// Every variable, in the order of documentation.
        pub static ALL: &[&super::variable::Variable] = &[ $( &var::$name, )* ];
    };
}
pub(super) use catalogue;

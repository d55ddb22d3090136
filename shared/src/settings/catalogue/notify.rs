//! The part of the catalogue that is `notify`'s.

/// Declares the variables before it, those of `notify` and those after it: they are one list.
macro_rules! with_notify {
    ({ $($before:tt)* } { $($after:tt)* }) => { catalogue! {
        $($before)*

            NOTIFY_URLS {
                group: Notify, secret: true,
                wants: "addresses such as slack+https://hooks.slack.com/services/..., separated by white space", example: "'slack+https://hooks.slack.com/services/T0/B0/secret#team=web&events=down,up'",
                help: "Whom to tell: an address for each channel, separated by white space or lines. webhook+https://, alertmanager+https://, pagerduty+https://, slack+https://, teams+https://, telegram+https://, ntfy+https://, smtp:// or smtps://. After # stand what it is told: events=down,up, site=shop*, labels such as team=web, and its name=. functions/notify/README.md has each. Required.",
            }
            NOTIFY_SINCE {
                group: Notify,
                wants: "a duration before now such as 24h, or a time such as 2026-01-31T08:00:00Z", example: "2026-01-31T08:00:00Z",
                help: "What began before this is not told, nor its end. When not set: the first run on a database tells of what goes on then, and of nothing that is over.",
            }
            NOTIFY_REMIND {
                group: Notify,
                wants: "a duration", example: "4h",
                help: "How long after a message that a site is down to remind of it while it stays so and nobody has acknowledged it, up to ten times. When not set: no reminders.",
            }
            NOTIFY_FLAP_WINDOW {
                group: Notify, default: "10m",
                wants: "a duration", example: "10m",
                help: "A site that is down again so soon after it was up has the same incident, told once more as flapping; its end is told when it has been up for so long.",
            }
            NOTIFY_GROUP_OVER {
                group: Notify, default: "5",
                wants: "a whole number from 0 to 1000000", example: "5",
                help: "More sites than this to which the same happens in one run are told in one message; 0: never.",
            }
            NOTIFY_GROUP_BY {
                group: Notify,
                wants: "the name of a label", example: "team",
                help: "Sites with the same value of this label, to which the same happens in one run, are told in one message however few they are.",
            }
            NOTIFY_CERTIFICATE_DAYS {
                group: Notify, default: "14,3",
                wants: "whole numbers of days from 1 to 3650 separated by commas", example: "30,14,3",
                help: "With how many days left a certificate's expiry is told of, each once.",
            }
            NOTIFY_STALE_AFTER {
                group: Notify, default: "10m",
                wants: "a duration", example: "10m",
                help: "A site whose newest check is older than this (and than three times its interval) is not monitored any more.",
            }
            NOTIFY_GIVE_UP {
                group: Notify, default: "1d",
                wants: "a duration", example: "1d",
                help: "How long a message that its receiver does not take is tried again, ever more seldom, at least once an hour; then it is given up, which one run tells by exit code 75.",
            }
            NOTIFY_DEADLINE {
                group: Notify, default: "50s",
                wants: "a duration", example: "50s",
                help: "When to stop, whatever is left: messages not sent by then are left to the next run.",
            }
            NOTIFY_DENY_NETWORKS {
                group: Notify,
                wants: "non-public, its parts private, loopback, link-local, metadata, special, or networks such as 10.0.0.0/8, separated by commas", example: "non-public",
                help: "Addresses that nothing may be sent to, as PROBE_DENY_NETWORKS has them for checks; for addresses in NOTIFY_URLS that others than the operator have written. A name with one such address among others is refused. Behind a proxy the target is judged as well; the proxy looks it up again itself, so it should refuse the same addresses.",
            }
            NOTIFY_ACKNOWLEDGE {
                group: Notify,
                wants: "numbers of incidents separated by commas", example: "12",
                help: "Incidents, by the number that their messages name, that somebody looks after from now on: no more reminders.",
            }
            NOTIFY_DRY_RUN {
                group: Notify, default: "false",
                wants: "true or false", example: "true",
                help: "true: say what would be sent to whom and why; send nothing and change nothing.",
            }
            NOTIFY_TEST {
                group: Notify, default: "false",
                wants: "true or false", example: "true",
                help: "true: send a message that is marked as a test to every channel, whatever it is told otherwise, and say which took it. Needs no database.",
            }

        $($after)*
    } };
}
pub(super) use with_notify;

//! The part of the catalogue that is `report`'s.

/// Declares the variables before it, those of `report` and, by way of `with_notify`, the rest.
macro_rules! with_report {
    ({ $($before:tt)* } { $($after:tt)* }) => { with_notify! {{
        $($before)*

            REPORT_KIND {
                group: Report, default: "sites",
                wants: "sites, recent, incidents, days, runs, notifications or sla", example: "incidents",
                help: "What is shown: sites (the state of each), recent (the latest checks, as they were recorded), incidents (when a site went down, for how long, why), days (what each site's days were like), runs (the last run of each function), notifications (what notify has not told yet, and what it gave up), sla (how an availability objective was met in a period: downtime, error budget). functions/report/README.md has the columns of each.",
            }
            REPORT_FORMAT {
                group: Report, default: "table",
                wants: "table, json, csv, html, prometheus, atom or badge", example: "json",
                help: "table for people, json (one object a line) or csv for programs; of sites also html, a status page in one file, and prometheus, metrics as text; of sla also html; of incidents also atom, a feed; of one site, as sites or sla, also badge, a small SVG picture of its state or its uptime.",
            }
            REPORT_OUTPUT {
                group: Report,
                wants: "the path of a file", example: "/var/www/status/index.html",
                help: "A file to write instead of standard output, whole or not at all: readers find the old one or the new one. For node_exporter's textfile collector: a file that ends in .prom.",
            }
            REPORT_SITE {
                group: Report,
                wants: "names of sites separated by commas, * for any text", example: "shop,blog-*",
                help: "Only sites of these names; * stands for any text. When not set: all.",
            }
            REPORT_LABEL {
                group: Report,
                wants: "name=value, several separated by commas", example: "team=web",
                help: "Only sites with all of these labels.",
            }
            REPORT_STATE {
                group: Report,
                wants: "up, degraded, down, unknown or unmonitored, several separated by commas", example: "down,degraded",
                help: "Only sites (of recent: checks) of these states; incidents: down for those that go on, up for those that ended.",
            }
            REPORT_SINCE {
                group: Report,
                wants: "a duration before now, a time such as 2026-01-31T08:00:00Z, a day (2026-01-31), a month (2026-01), this-month or last-month", example: "24h",
                help: "Recent checks, incidents, days and notifications after this only, and where the period of REPORT_KIND=sla begins; a day or a month (UTC) stands for its beginning. When not set: incidents of 30 days, 90 days, the month that goes on.",
            }
            REPORT_UNTIL {
                group: Report,
                wants: "as REPORT_SINCE", example: "this-month",
                help: "Where the period of REPORT_KIND=sla ends. When not set: now, or with no REPORT_SINCE the end of the month. last-month and this-month in the two make the calendar month that is over.",
            }
            REPORT_SLA_TARGET {
                group: Report, default: "99.9",
                wants: "a percentage above 0, at most 100", example: "99.95",
                help: "The availability objective of REPORT_KIND=sla, in percent of the time; the rest is the error budget.",
            }
            REPORT_GROUP_BY {
                group: Report,
                wants: "the name of a label", example: "team",
                help: "A label whose values make groups of sites: REPORT_KIND=sla has a line for each of them as well, the status page a section.",
            }
            REPORT_RECENT {
                group: Report,
                wants: "a whole number from 1 to 100000", example: "20",
                help: "How many of the latest checks, incidents or notifications at most. Set without REPORT_KIND, it means recent. When not set: 100, or with REPORT_SINCE all since then, up to 100000.",
            }
            REPORT_STALE_AFTER {
                group: Report, default: "10m",
                wants: "a duration", example: "10m",
                help: "A site whose newest check is older than this (and than three times its interval) is not monitored, whatever that check said.",
            }
            REPORT_FAIL_ON_DOWN {
                group: Report, default: "false",
                wants: "true or false", example: "true",
                help: "Whether to exit with 1 when a site that is shown, or whose checks, incidents or days are, is down: for pipelines and for use by hand.",
            }
            REPORT_TITLE {
                group: Report, default: "Status",
                wants: "text", example: "Status of example.org",
                help: "The status page's title, and the feed's.",
            }
            REPORT_URL {
                group: Report,
                wants: "an http or https URL", example: "https://status.example.org/",
                help: "Where people read the status page: what the feed links to, and by what it is told from others'.",
            }
            REPORT_ANNOUNCEMENTS {
                group: Report,
                wants: "the path of a text file of at most 64 KiB", example: "/etc/sitewatch/announcements.txt",
                help: "A file whose paragraphs stand above everything else on the status page, as plain text; a file without any is fine, one that is missing is not.",
            }
            REPORT_WORDS_FILE {
                group: Report,
                wants: "the path of a JSON file of words", example: "/etc/sitewatch/words.de.json",
                help: "What pages, the feed and badges say in place of the English words, language and direction of writing among them; what the file leaves out stays English, and so does what is recorded of failures. functions/report/words.en.json has all words, words.de.json beside it is German.",
            }
            REPORT_MAX_SITES {
                group: Report, default: "10000",
                wants: "a whole number from 1 to 10000", example: "1000",
                help: "How many sites the status page draws at most, one for each location that a site is checked from: those that are not up before all others, then as many of each group of REPORT_GROUP_BY; about 1 kB each. The others are counted.",
            }
            REPORT_PLOTS {
                group: Report, default: "50",
                wants: "a whole number from 0 to 1000", example: "50",
                help: "For how many sites the status page draws response times, those that are broken first; about 25 kB each.",
            }
            REPORT_EVIDENCE {
                group: Report, default: "false",
                wants: "true or false", example: "true",
                help: "Whether to show what failed checks received (CHECK_CAPTURE): of recent in the column evidence, on the status page below the first REPORT_PLOTS sites that are down. It may be private.",
            }
            REPORT_PROMETHEUS_LABELS {
                group: Report,
                wants: "names of labels separated by commas", example: "team,env",
                help: "Labels of sites that the metric sitewatch_site_info has, so that alerts can be routed and metrics grouped by them. Only those whose values seldom change: each new value is a new series. When not set: no such metric.",
            }
            PROMETHEUS_PUSHGATEWAY_URL {
                group: Report, secret: true,
                wants: "an http or https URL", example: "http://pushgateway:9091",
                help: "A Pushgateway to send the metrics to, instead of printing them; user:password@ in it is used. Without a path, /metrics/job/sitewatch is added.",
            }
    } {
        $($after)*
    }} };
}
pub(super) use with_report;

//! Every environment variable there is: the contract with whoever deploys these functions.
//!
//! `--help` is made from this list; a test holds `.env.example` and `shared/README.md` to it. Who
//! reads a variable follows from its group, unless its entry says otherwise.

mod notify;
mod report;

use super::variable::catalogue;
use notify::with_notify;
use report::with_report;

with_report! {{
    KAFKA_BROKERS {
        group: Kafka, aliases: &["KAFKA_ENDPOINT", "KAFKA_HOST"],
        wants: "host:port, several separated by commas", example: "localhost:9092",
        help: "The brokers to begin with, host:port (9092 when the port is left out), several separated by commas. Required, unless the function is told to use a pipe instead.",
    }
    KAFKA_TOPIC {
        group: Kafka, default: "website-monitoring",
        wants: "a topic name (letters, digits, '.', '_', '-')", example: "website-monitoring",
        help: "The topic that carries the events.",
    }
    KAFKA_CLIENT_ID {
        group: Kafka, default: "website-monitoring-client",
        wants: "a name", example: "website-monitoring-client",
        help: "What the broker's logs and quotas know us by.",
    }
    KAFKA_GROUP_ID {
        group: Kafka, default: "website-monitoring-group",
        wants: "a name", example: "website-monitoring-group",
        help: "The consumer group whose offsets show drain's progress in Kafka's own tools.",
    }
    KAFKA_SECURITY_PROTOCOL {
        group: Kafka, aliases: &["KAFKA_USE_SSL"],
        wants: "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL (true and false mean SSL and PLAINTEXT)", example: "SSL",
        help: "How the connection is secured: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; true and false mean SSL and PLAINTEXT. When not set: SSL if certificates are configured, SASL_SSL if a SASL user is, else PLAINTEXT.",
    }
    KAFKA_CERT_DIR {
        group: Kafka,
        wants: "a directory with ca.pem, service.cert and service.key", example: "/etc/sitewatch/certs",
        help: "A directory with ca.pem, service.cert and service.key, as hosted Kafka hands them out.",
    }
    KAFKA_CA_FILE {
        group: Kafka, aliases: &["KAFKA_CAFILE"],
        wants: "the path of a PEM file", example: "/etc/sitewatch/certs/ca.pem",
        help: "PEM file of the CA certificates that may sign the broker's certificate. When not set: ca.pem of KAFKA_CERT_DIR, else the system's CA certificates.",
    }
    KAFKA_CERT_FILE {
        group: Kafka, aliases: &["KAFKA_CERTFILE"],
        wants: "the path of a PEM file", example: "/etc/sitewatch/certs/service.cert",
        help: "PEM file of our certificate, for mutual TLS. When not set: service.cert of KAFKA_CERT_DIR, if it is there.",
    }
    KAFKA_KEY_FILE {
        group: Kafka, aliases: &["KAFKA_KEYFILE"],
        wants: "the path of a PEM file", example: "/etc/sitewatch/certs/service.key",
        help: "PEM file of our certificate's key. When not set: service.key of KAFKA_CERT_DIR, if it is there.",
    }
    KAFKA_SASL_MECHANISM {
        group: Kafka,
        wants: "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", example: "SCRAM-SHA-512",
        help: "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. When not set and a user is: SCRAM-SHA-256.",
    }
    KAFKA_SASL_USERNAME {
        group: Kafka, aliases: &["KAFKA_USER"],
        wants: "a user name", example: "sitewatch",
        help: "The user to log in as, by SASL.",
    }
    KAFKA_SASL_PASSWORD {
        group: Kafka, aliases: &["KAFKA_PASSWORD"], secret: true,
        wants: "the password of KAFKA_SASL_USERNAME", example: "secret",
        help: "That user's password.",
    }
    KAFKA_CLIENT {
        group: Kafka, default: "rdkafka",
        wants: "rdkafka or kafka", example: "rdkafka",
        help: "rdkafka for any broker; kafka for the pure-Rust client, which speaks to brokers up to 3.9 without SASL.",
    }
    KAFKA_TIMEOUT {
        group: Kafka, default: "10s",
        wants: "a duration", example: "10s",
        help: "How long to look for a broker that answers, and the longest that any one exchange with it may take.",
    }
    KAFKA_OPTIONS {
        group: Kafka,
        wants: "name=value, several separated by commas", example: "socket.keepalive.enable=true",
        help: "Further librdkafka settings, name=value separated by commas, over ours; none that load code or open a file or an address. For KAFKA_CLIENT=rdkafka only.",
        // `ssl.key.password` and its like may be among them.
        secret: true,
    }

    DATABASE_URL {
        group: Database, aliases: &["POSTGRES_ENDPOINT"], secret: true,
        wants: "a PostgreSQL connection URL or string", example: "postgres://sitewatch:secret@localhost:5432/sitewatch",
        help: "postgres://user:password@host:port/database?sslmode=… or key=value text, as libpq takes it; several hosts and target_session_attrs included. Or the parts below. Required by functions that use the database.",
    }
    DATABASE_HOST {
        group: Database, aliases: &["PGHOST"],
        wants: "a host name, an address or a socket's directory", example: "localhost",
        help: "Host, or the directory of a Unix socket; several separated by commas.",
    }
    DATABASE_PORT {
        group: Database, aliases: &["PGPORT"],
        wants: "a port number", example: "5432",
        help: "Port. When not set: 5432.",
    }
    DATABASE_DB {
        group: Database, aliases: &["DATABASE_NAME", "PGDATABASE"],
        wants: "a database name", example: "sitewatch",
        help: "Database. When not set: the user's name.",
    }
    DATABASE_USER {
        group: Database, aliases: &["PGUSER"],
        wants: "a role name", example: "sitewatch",
        help: "Role to log in as.",
    }
    DATABASE_PASSWD {
        group: Database, aliases: &["DATABASE_PASSWORD", "PGPASSWORD"], secret: true,
        wants: "the password of DATABASE_USER", example: "secret",
        help: "That role's password; also used when DATABASE_URL has none.",
    }
    DATABASE_SSLMODE {
        group: Database, aliases: &["PGSSLMODE"],
        wants: "disable, prefer, require, verify-ca or verify-full", example: "verify-full",
        help: "disable, prefer, require, verify-ca or verify-full, as in libpq. When not set: what DATABASE_URL says, else prefer.",
    }
    DATABASE_CA_FILE {
        group: Database, aliases: &["PGSSLROOTCERT"],
        wants: "the path of a PEM file", example: "/etc/sitewatch/certs/database-ca.pem",
        help: "PEM file of the CA certificates that may sign the server's certificate. When not set: the system's.",
    }
    DATABASE_CERT_FILE {
        group: Database, aliases: &["PGSSLCERT"],
        wants: "the path of a PEM file", example: "/etc/sitewatch/certs/database.cert",
        help: "PEM file of our certificate, where the server asks for one.",
    }
    DATABASE_KEY_FILE {
        group: Database, aliases: &["PGSSLKEY"],
        wants: "the path of a PEM file", example: "/etc/sitewatch/certs/database.key",
        help: "PEM file of our certificate's key.",
    }
    DATABASE_CONNECT_TIMEOUT {
        group: Database, default: "10s", aliases: &["PGCONNECT_TIMEOUT"],
        wants: "a duration", example: "10s",
        help: "How long connecting may take, over all hosts.",
    }
    DATABASE_STATEMENT_TIMEOUT {
        group: Database, default: "60s",
        wants: "a duration", example: "60s",
        help: "The longest that PostgreSQL may work on one statement.",
    }
    DATABASE_LOCK_TIMEOUT {
        group: Database, default: "10s",
        wants: "a duration", example: "10s",
        help: "The longest that a statement may wait for a lock.",
    }

    SITES {
        group: Sites,
        wants: "URLs separated by spaces, commas or lines, or a JSON list of sites", example: "https://example.org",
        help: "What to check: URLs separated by spaces, commas or lines, or a JSON list of sites. Exactly one of SITES, SITES_FILE and SITES_FROM is set.",
    }
    SITES_FILE {
        group: Sites,
        wants: "the path of a JSON file", example: "sites.json",
        help: "A JSON file with the list of sites.",
    }
    SITES_FROM {
        group: Sites,
        wants: "database", example: "database",
        help: "database: the enabled rows of the table websites.",
    }
    SITES_SECRETS_DIR {
        group: Sites, read_by: &["probe"],
        wants: "the path of a directory", example: "/etc/sitewatch/site-secrets",
        help: "The directory of the files that sites name for passwords, tokens and the like: {\"file\": \"name\"}. Variables named SITE_SECRET_... serve the same purpose: {\"env\": \"SITE_SECRET_...\"}. Whoever writes the list may have any of them sent anywhere.",
    }
    SITES_TLS_DIR {
        group: Sites, read_by: &["probe"],
        wants: "the path of a directory", example: "/etc/sitewatch/site-tls",
        help: "The directory of the PEM files that sites name in tls_ca_file, tls_cert_file and tls_key_file; a site can name no other. Not that of the secrets: what is there, a list of sites may send anywhere.",
    }

    CHECK_TIMEOUT {
        group: Checks, default: "10s",
        wants: "a duration", example: "10s",
        help: "The longest that the site may take in one attempt, from the look-up to the end of the body. What this machine takes itself is not counted.",
    }
    CHECK_CONNECT_TIMEOUT {
        group: Checks,
        wants: "a duration", example: "3s",
        help: "The longest that connecting may take, TLS included. When not set: bounded by CHECK_TIMEOUT alone.",
    }
    CHECK_FIRST_BYTE_TIMEOUT {
        group: Checks,
        wants: "a duration", example: "5s",
        help: "The longest that a server may think before its answer begins. When not set: bounded by CHECK_TIMEOUT alone.",
    }
    CHECK_INTERVAL {
        group: Checks, default: "60s",
        wants: "a duration of at least 1s", example: "60s",
        help: "How often a site is checked.",
    }
    CHECK_RETRIES {
        group: Checks, default: "0",
        wants: "a whole number from 0 to 100", example: "2",
        help: "Further attempts before a failure is believed. Only the last one counts; the first one's reason is kept.",
    }
    CHECK_RETRY_DELAY {
        group: Checks, default: "1s",
        wants: "a duration", example: "1s",
        help: "How long to wait before each of them.",
    }
    CHECK_STATUS {
        group: Checks, default: "200-399",
        wants: "statuses and ranges separated by commas", example: "200-299,401",
        help: "The statuses that count as up, after redirects.",
    }
    CHECK_MAX_RESPONSE_TIME {
        group: Checks,
        wants: "a duration", example: "2s",
        help: "Above this a site that is otherwise right is slow. When not set: no limit but the timeout.",
    }
    CHECK_MAX_REDIRECTS {
        group: Checks, default: "10",
        wants: "a whole number from 0 to 50", example: "0",
        help: "Redirects followed before the next one is too many; 0: a redirect is the answer.",
    }
    CHECK_USER_AGENT {
        group: Checks,
        wants: "text without control characters", example: "example-monitor/1.0",
        help: "What servers know us by. When not set: our name and version.",
    }
    CHECK_ADDRESS_FAMILY {
        group: Checks, default: "any",
        wants: "any, ipv4 or ipv6", example: "ipv4",
        help: "Which addresses are used; any: whichever answers first, IPv6 with a head start.",
    }
    CHECK_COMPRESSION {
        group: Checks, default: "true",
        wants: "true or false", example: "false",
        help: "Whether compressed answers are asked for.",
    }
    CHECK_TLS_CA_FILE {
        group: Checks,
        wants: "the path of a PEM file", example: "/etc/sitewatch/certs/sites-ca.pem",
        help: "PEM file of the CA certificates that may sign sites' certificates. When not set: the system's.",
    }
    CHECK_CERTIFICATE_MIN_DAYS {
        group: Checks,
        wants: "a whole number from 0 to 3650", example: "14",
        help: "A certificate that expires in fewer days counts as down. When not set: one that has expired does.",
    }
    CHECK_CONCURRENCY {
        group: Checks, read_by: &["probe"], default: "200",
        wants: "a whole number from 1 to 20000", example: "200",
        help: "The most checks under way at once, each with a connection.",
    }
    CHECK_MAX_BODY {
        group: Checks, default: "1MiB",
        wants: "a size", example: "1MiB",
        help: "The most that is read of a page, after decompression. A site's body_limit may be less, not more.",
    }
    CHECK_CAPTURE {
        group: Checks, default: "0",
        wants: "a size up to 64KiB", example: "4KiB",
        help: "How much is kept of the page when a check fails, with the response's status line and headers, in the event and for MAINTAIN_KEEP_EVIDENCE in the table evidence: 0 is nothing of all that. A site's capture may be less, not more. Cookies and known secrets are left out; what else a page says when it fails may be private.",
    }
    CHECK_MAX_TIMEOUT {
        group: Checks,
        wants: "a duration, at most 30m", example: "60s",
        help: "The longest timeout, or delay before a retry, that a site may ask for. When not set: 60s, or CHECK_TIMEOUT if that is longer.",
    }
    CHECK_MAX_RETRIES {
        group: Checks,
        wants: "a whole number from 0 to 100", example: "10",
        help: "The most retries that a site may ask for. When not set: 10, or CHECK_RETRIES if that is more.",
    }
    CHECK_CONFIRM {
        group: Checks, default: "1",
        wants: "a whole number from 1 to 99, or two as in 3/5", example: "3",
        help: "How many of a location's last checks must have failed before it takes a site for down: 3 is all of the last three, 3/5 three of the last five. At most 99.",
    }
    CHECK_RECOVER {
        group: Checks, default: "1",
        wants: "a whole number from 1 to 99", example: "2",
        help: "How many checks in a row must have found the site up before the location takes it for up again. At most 99.",
    }
    CHECK_AGREE {
        group: Checks, default: "any",
        wants: "any, majority, all or a number of locations", example: "majority",
        help: "How many of the locations that report must take a site for down before it is down; with fewer it is degraded. A number that is larger than there are locations is all of them. The database judges: setup stores this and the two above with the sites that it imports.",
    }

    PROBE_SINK {
        group: Probe, default: "kafka",
        wants: "kafka or stdout", example: "stdout",
        help: "Where results go: kafka, or stdout without any Kafka: JSON lines, and on a terminal, unless LOG_FORMAT=json, a line for people.",
    }
    PROBE_LOCATION {
        group: Probe, default: "default",
        wants: "a name of at most 100 characters", example: "fra1",
        help: "Where this probe runs; part of every result.",
    }
    PROBE_PERIOD {
        group: Probe,
        wants: "a duration", example: "1m",
        help: "How often the scheduler starts probe: a site is then checked by the run in whose period its next check falls. When not set: every site is due in every run, and nobody can tell afterwards which checks are missing.",
    }
    PROBE_PHASE {
        group: Probe, default: "0s",
        wants: "a duration", example: "30s",
        help: "How long after each multiple of PROBE_PERIOD (counted from 1970, UTC) the scheduler starts probe. Needed when that is near the middle of the period.",
    }
    PROBE_WINDOW {
        group: Probe,
        wants: "a duration", example: "55s",
        help: "Keeps the run alive this long and checks each site at its own interval: for intervals shorter than the scheduler's grain. When not set: each due site is checked once.",
    }
    PROBE_SHARD_INDEX {
        group: Probe, default: "0", aliases: &["JOB_COMPLETION_INDEX"],
        wants: "a whole number below PROBE_SHARD_COUNT", example: "0",
        help: "Which share of the sites is ours, from 0.",
    }
    PROBE_SHARD_COUNT {
        group: Probe, default: "1",
        wants: "a whole number from 1 to 10000", example: "4",
        help: "Into how many shares the sites are divided.",
    }
    PROBE_SPOOL_DIR {
        group: Probe,
        wants: "the path of a directory", example: "/var/spool/sitewatch",
        help: "A directory, for probe's user alone, where results are kept until Kafka has acknowledged them; what a run leaves there the next one sends first. Runs may share it. When not set: results that Kafka does not take are printed to standard error.",
    }
    PROBE_SPOOL_MAX {
        group: Probe, default: "256MiB",
        wants: "a size", example: "256MiB",
        help: "The most that the spool may hold; what does not fit is only in memory, and printed to standard error when Kafka does not take it.",
    }
    PROBE_CANARIES {
        group: Probe,
        wants: "host:port or URLs, several separated by commas", example: "1.1.1.1:443,8.8.8.8:443,9.9.9.9:443",
        help: "What answers whenever this machine's uplink works. Asked when a check fails in a way that a missing uplink would explain; when none of them answers and most checks fail so, these are recorded as unknown, not down. PROBE_DENY_NETWORKS does not apply to them. When not set: such checks are down.",
    }
    PROBE_DENY_NETWORKS {
        group: Probe,
        wants: "non-public, its parts private, loopback, link-local, metadata, special, or networks such as 10.0.0.0/8, separated by commas", example: "non-public",
        help: "Addresses that no check may reach, however a site's name resolves and wherever it redirects; non-public is everything that is not the internet's. A name with one such address among others is refused. For lists written by people who are not trusted. Behind a proxy the target is judged as well, and an https target is given to it as the address that was judged; http names it looks up again itself, so it should refuse the same addresses.",
    }
    HTTP_PROXY {
        group: Probe, read_by: &["probe", "notify"], aliases: &["http_proxy"], secret: true,
        wants: "http://[user:password@]host[:port]", example: "http://proxy.example:3128",
        help: "The proxy for http sites that name none of their own.",
    }
    HTTPS_PROXY {
        group: Probe, read_by: &["probe", "notify"], aliases: &["https_proxy"], secret: true,
        wants: "http://[user:password@]host[:port]", example: "http://proxy.example:3128",
        help: "The proxy for https sites that name none of their own.",
    }
    ALL_PROXY {
        group: Probe, read_by: &["probe", "notify"], aliases: &["all_proxy"], secret: true,
        wants: "http://[user:password@]host[:port]", example: "http://proxy.example:3128",
        help: "The proxy where neither of these is set.",
    }
    NO_PROXY {
        group: Probe, read_by: &["probe", "notify"], aliases: &["no_proxy"],
        wants: "hosts, domains, addresses and networks separated by commas, or *", example: "localhost,.internal.example,10.0.0.0/8",
        help: "What is reached without these proxies.",
    }
    PROBE_DEADLINE {
        group: Probe,
        wants: "a duration", example: "50s",
        help: "When to stop, whatever is left: checks not begun by then are left to the next run. When not set: a run ends by itself, each check being bounded by its timeout.",
    }
    PROBE_FAIL_ON_DOWN {
        group: Probe, default: "false",
        wants: "true or false", example: "true",
        help: "Exit with 1 when a site is down, for use by hand and in pipelines.",
    }
    PROBE_DRY_RUN {
        group: Probe, default: "false",
        wants: "true or false", example: "true",
        help: "true: say which sites are due in this run, when and why, and which are not; check nothing and publish nothing. Needs no Kafka.",
    }

    DRAIN_SOURCE {
        group: Drain, default: "kafka",
        wants: "kafka or stdin", example: "stdin",
        help: "Where events come from: kafka, or stdin for JSON lines without any Kafka.",
    }
    DRAIN_BATCH_SIZE {
        group: Drain, default: "60000",
        wants: "a whole number from 1 to 1000000", example: "60000",
        help: "The most events in one transaction.",
    }
    DRAIN_DEADLINE {
        group: Drain, default: "10m",
        wants: "a duration", example: "50s",
        help: "When to stop, whatever is left: the batch in hand is finished, the rest is left to the next run.",
    }

    DRAIN_WORKERS {
        group: Drain, default: "2",
        wants: "a whole number from 1 to 64", example: "2",
        help: "Connections to PostgreSQL that write at once; no more are used than partitions have something pending, and fewer where PostgreSQL, a limit or a pooler has none to spare.",
    }
    DRAIN_OFFSET_RESET {
        group: Drain, default: "earliest",
        wants: "earliest, latest or fail", example: "fail",
        help: "Where to go on when Kafka no longer has the offset where recording had got to: earliest or latest of what it has (what was lost is said, and kept in kafka_losses), or fail.",
    }

    DRAIN_START {
        group: Drain, default: "stored",
        wants: "stored, group or earliest", example: "group",
        help: "Where to begin. stored: where recording has got to, or at the first message of a partition that was never drained. group: likewise, but such a partition begins at the consumer group's offset, if it has one. earliest: at the first message that Kafka has, whatever is recorded; what is recorded already is found there and counted as repeated.",
    }
    DRAIN_MAX_DEAD_LETTERS {
        group: Drain, default: "10000",
        wants: "a whole number", example: "10000",
        help: "The most messages that one run puts into dead_letters; it stops before the next one (after the batch in hand where PostgreSQL is what refuses them), with exit code 75, because a topic full of something else must not fill the disk.",
    }
    DRAIN_MAX_NEW_SITES {
        group: Drain, default: "50000",
        wants: "a whole number up to 100000000", example: "50000",
        help: "The most sites that one run adds because an event names them; events of further ones are dead letters, which DRAIN_REPLAY_DEAD_LETTERS tries again. Sites that the table websites has are never refused.",
    }
    DRAIN_MAX_SITES {
        group: Drain, default: "100000",
        wants: "a whole number up to 100000000", example: "100000",
        help: "The most sites in all that only events named; events of further ones are dead letters likewise. Runs at the same time may add a batch each beyond it.",
    }
    DRAIN_MAX_NEW_LOCATIONS {
        group: Drain, default: "100",
        wants: "a whole number up to 30000", example: "100",
        help: "The most locations that one run adds because an event names them; events of further ones are dead letters likewise.",
    }
    DRAIN_MAX_LOCATIONS {
        group: Drain, default: "1000",
        wants: "a whole number up to 30000", example: "1000",
        help: "The most locations in all.",
    }
    DRAIN_REPLAY_DEAD_LETTERS {
        group: Drain, default: "false",
        wants: "true or false", example: "true",
        help: "true: instead of the topic, try the messages in dead_letters again, after a fix or an upgrade; those that can be recorded now are, and leave the table.",
    }
    DRAIN_DRY_RUN {
        group: Drain, default: "false",
        wants: "true or false", example: "true",
        help: "true: say what a run would do (partitions, offsets, lag) and change nothing.",
    }

    SETUP_PARTITIONS {
        group: Setup, default: "4",
        wants: "a whole number from 1 to 10000", example: "4",
        help: "Partitions of the topic, when setup creates it: as many drains can work at once.",
    }
    SETUP_REPLICATION {
        group: Setup,
        wants: "a whole number from 1 to 100", example: "3",
        help: "Replicas of each partition, when setup creates the topic. When not set: the broker's default.",
    }
    SETUP_RETENTION {
        group: Setup, default: "7d",
        wants: "a duration", example: "7d",
        help: "How long the topic keeps events, when setup creates it: the longest that drain may be away without loss.",
    }
    SETUP_TOPIC {
        group: Setup, default: "true",
        wants: "true or false", example: "false",
        help: "Whether to see to the topic at all; false where somebody else does, or without Kafka.",
    }
    SETUP_DELETE_TOPIC {
        group: Setup, default: "false",
        wants: "true or false", example: "true",
        help: "true: delete the topic with everything in it, and do nothing else.",
    }

    MAINTAIN_KEEP_CHECKS {
        group: Maintain, default: "90d",
        wants: "a duration of whole days", example: "90d",
        help: "How long single checks are kept, counted back from the newest one: older days are dropped, once they are rolled up. Nothing is dropped by a clock that the data contradicts.",
    }
    MAINTAIN_KEEP_HOURLY {
        group: Maintain, default: "180d",
        wants: "a duration of whole days, no shorter than MAINTAIN_KEEP_CHECKS", example: "180d",
        help: "How long statistics by hour are kept, about half a kilobyte per site, location and hour; they are dropped by whole months.",
    }
    MAINTAIN_KEEP_DAILY {
        group: Maintain, default: "1830d",
        wants: "a duration of whole days, no shorter than MAINTAIN_KEEP_HOURLY", example: "1830d",
        help: "How long statistics by day are kept; they are dropped by whole years.",
    }
    MAINTAIN_KEEP_SITES {
        group: Maintain, default: "365d",
        wants: "a duration of whole days, no shorter than MAINTAIN_KEEP_HOURLY", example: "365d",
        help: "How long after its newest check a site that only events ever named is kept, and a location: then it goes with everything of it. Sites of a list or of a person stay.",
    }
    MAINTAIN_KEEP_DEAD_LETTERS {
        group: Maintain, default: "90d",
        wants: "a duration of whole days", example: "90d",
        help: "How long messages that could not be recorded are kept in dead_letters.",
    }
    MAINTAIN_KEEP_EVIDENCE {
        group: Maintain, default: "7d",
        wants: "a duration of whole days", example: "7d",
        help: "How long evidence of failed checks is kept (CHECK_CAPTURE).",
    }
    MAINTAIN_AHEAD {
        group: Maintain, default: "7d",
        wants: "a duration of whole days", example: "7d",
        help: "How far ahead partitions are made, so that recording a check never has to.",
    }
    MAINTAIN_DEADLINE {
        group: Maintain, default: "10m",
        wants: "a duration", example: "10m",
        help: "How long the run may take before it leaves the rest to the next one.",
    }
} {
    LOG_LEVEL {
        group: Run, default: "info", aliases: &["RUST_LOG"],
        wants: "error, warn, info, debug or trace (or directives as in RUST_LOG)", example: "warn",
        help: "Which messages are shown, on standard error: error, warn, info, debug or trace.",
    }
    LOG_FORMAT {
        group: Run, default: "text",
        wants: "text or json", example: "json",
        help: "How they look: text, or json with an object a line.",
    }
    NO_COLOR {
        group: Run,
        wants: "any text", example: "1",
        help: "Set to anything: no colours, on a terminal either. In a pipe or file there are none.",
    }
    HEARTBEAT_URL {
        group: Run, secret: true,
        wants: "an http or https URL", example: "https://hc-ping.example/uuid",
        help: "A dead man's switch: pinged at URL/start when a run begins, at URL when it is done and at URL/fail when it is not. Where the service takes exit codes, as Healthchecks does, end the URL with /{code}: the code stands in its place.",
    }
    ENV_FILE {
        group: Run,
        wants: "the path of a file with NAME=value lines", example: "/etc/sitewatch/env",
        help: "A file to read variables from. When not set: .env in the working directory, if it is there and nobody but root and us can have written it. What is already in the environment wins.",
    }
}}

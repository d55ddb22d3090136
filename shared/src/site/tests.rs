//! Lists as people write them, and what they are told.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read(text: &str) -> Result<Vec<Arc<Site>>, SiteProblems> {
    parse_list(text, &SiteDefaults::default())
}

fn one(fields: &Value) -> Arc<Site> {
    read(&json!([fields]).to_string()).unwrap().remove(0)
}

fn problems(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn plain_urls_in_any_separation() {
    let sites =
        read("https://example.org, http://example.com:8080/a/\nhttps://example.net/?q=1").unwrap();
    let names: Vec<_> = sites.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "example.org",
            "example.com:8080/a",
            "example.net~4c87d2e874a66541"
        ]
    );
    assert_eq!(sites[0].url.as_str(), "https://example.org/");
    assert_eq!(sites[0].interval, Duration::from_secs(60));
}

#[test]
fn the_simple_list_and_the_object_around_it() {
    for text in [
        r#"[{"url": "https://example.org", "regex": "Example"}]"#,
        r#"{"sites": [{"url": "https://example.org", "regex": "Example"}]}"#,
        r#"[{"url": "https://example.org", "up_regex": "Example"}]"#,
    ] {
        let sites = read(text).unwrap();
        assert_eq!(
            sites[0].expect.regex.as_ref().unwrap().as_str(),
            "Example",
            "{text}"
        );
    }
    assert_eq!(read(r#"["https://example.org"]"#).unwrap().len(), 1);
    assert_eq!(read("[]").unwrap().len(), 0);
}

#[test]
fn every_field() {
    let site = one(&json!({
        "name": "shop", "url": "https://shop.example/", "enabled": false, "interval": 1.5,
        "labels": {"team": "web", "tier": 1}, "method": "post", "body": "ping",
        "headers": {"X-Token": {"env": "SITE_SECRET_TOKEN"}, "Accept": "text/html"},
        "basic_auth": {"username": "me", "password": {"file": "shop-password"}},
        "user_agent": "me/1", "proxy": "http://proxy.example:3128",
        "resolve": {"Shop.example": "192.0.2.1"}, "address_family": "ipv4",
        "source_address": "192.0.2.2", "compression": false, "max_redirects": 0,
        "tls_verify": false, "tls_ca_file": "ca.pem", "tls_cert_file": "c.pem", "tls_key_file": "k.pem",
        "tls_server_name": "other.example", "tls_min_version": "1.3", "certificate_min_days": 14,
        "status": [200, "300-399"], "skip_status": 404, "regex": "ok", "regex_not": ["fail", "error"],
        "json": {"/status": "ok"}, "header_regex": {"Content-Type": "^text/html"},
        "min_body_size": 1, "max_body_size": "1MiB", "max_response_time": "500ms",
        "timeout": 5, "connect_timeout": "1s", "first_byte_timeout": 2, "retries": 3, "retry_delay": "100ms",
        "body_limit": "1MiB",
        "maintenance": {"start": "02:00", "end": "03:00"},
    }));
    assert_eq!(site.interval, Duration::from_millis(1_500));
    assert_eq!(site.request.method, "POST");
    assert_eq!(
        site.request.resolve["shop.example"].to_string(),
        "192.0.2.1"
    );
    assert_eq!(site.labels["tier"], "1");
    assert!(site.tls.accept_invalid);
    assert!(site.expect.status.contains(302) && !site.expect.status.contains(204));
    assert_eq!(site.expect.headers[0].0, "content-type");
    assert_eq!(site.body_limit, 1 << 20);
    assert_eq!(site.timeouts.connect, Some(Duration::from_secs(1)));
}

#[test]
fn every_field_is_documented_in_its_order() {
    let documented: Vec<&str> = include_str!("README.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split(" | ").next())
        .flat_map(|names| names.split(", "))
        .map(|name| name.trim_matches('`'))
        .collect();
    assert_eq!(documented, super::parse::FIELDS);
}

#[test]
fn credentials_leave_the_url_and_are_never_shown() {
    let site = one(&json!({"url": "https://me:p%40ss+1@example.org/#top"}));
    assert_eq!(site.url.as_str(), "https://example.org/");
    assert_eq!(site.name, "example.org");
    let Some(Auth::Basic { username, password }) = &site.request.auth else {
        panic!("no credentials");
    };
    assert_eq!(*username, Text::Literal("me".into()));
    assert_eq!(*password, Text::Literal("p@ss+1".into()));
    assert!(!format!("{site:?}").contains("p@ss"));
    for bad in [
        r#"[{"url": "https://me:hush@[bad/"}]"#,
        r#"[{"url": "ftp://me:hush@example.org/"}]"#,
        r#"[{"url": "https://me:hush@example.org/", "status": "x"}]"#,
        r#"[{"url": ["https://me:hush@example.org/"]}]"#,
        r#"[["https://me:hush@example.org/"]]"#,
        r#"{"sites": "https://me:hush@example.org/"}"#,
        r#"[{"url": "https://example.org/", "basic_auth": "me:hush"}]"#,
        r#"[{"url": "https://example.org/", "headers": ["Authorization: hush"]}]"#,
    ] {
        assert!(!problems(bad).contains("hush"), "{}", problems(bad));
    }
}

#[test]
fn sites_that_change_nothing_share_their_options() {
    let defaults = SiteDefaults::default();
    let sites = parse_list("https://a.example https://b.example", &defaults).unwrap();
    assert!(std::sync::Arc::ptr_eq(&sites[0].request, &sites[1].request));
    assert!(std::sync::Arc::ptr_eq(&sites[0].tls, &defaults.tls));
}

#[test]
fn every_problem_at_once_and_at_its_place() {
    let text = json!([
        {"url": "https://a.example", "regexp": "x"},
        {"name": "b", "url": "https://b.example", "regex": "(", "interval": -1, "status": "2xx"},
        {"url": "not a url"},
        {"name": "", "regex": 5},
        7,
        {"name": "b2", "url": "https://b.example"},
        {"name": "b2", "url": "https://c.example"},
    ])
    .to_string();
    assert_eq!(
        problems(&text),
        [
            r#"site 1 (https://a.example): regexp is not a field of a site; did you mean "regex"?"#,
            r#"site 2 (b): interval is -1; wants seconds such as 60, or a duration such as "500ms""#,
            r#"site 2 (b): status is "2xx": "2xx" is no status from 100 to 999 or range of them; wants statuses such as 200, "200-299,404" or [200, "300-399"]"#,
            r#"site 2 (b): regex "(" is not a regular expression: unclosed group at character 1"#,
            r#"site 3 (not a url): url is "not a url", which is no URL: relative URL without a base; wants one such as https://example.org/"#,
            r#"site 4: url is missing"#,
            r#"site 4: name is empty"#,
            r#"site 4: regex is 5; wants a regular expression"#,
            r#"site 5: is 7; wants an object or a URL"#,
            r#"site 7 (b2): name is also the name of site 6; give each site a name of its own"#,
        ]
        .join("\n")
    );
}

#[test]
fn a_size_that_no_body_could_have_is_refused() {
    for field in ["min_body_size", "max_body_size"] {
        let sites = |size: u64| {
            json!([{"url": "https://a.example", field: size, "body_limit": 1000}]).to_string()
        };
        assert!(parse_list(&sites(1000), &SiteDefaults::default()).is_ok());
        assert!(problems(&sites(1001)).contains("no more than 1000 bytes are read of a body"));
    }
}

#[test]
fn what_is_no_list_is_placed() {
    assert_eq!(
        problems("[{]"),
        "not JSON: key must be a string at line 1 column 3"
    );
    assert_eq!(
        problems("[\n{\"url\": \"https://a.example\"}"),
        "not JSON: EOF while parsing a list at line 2 column 28"
    );
    assert_eq!(
        problems(r#"{"urls": []}"#),
        r#"unknown field "urls"; wants a list of sites, or an object with the one field "sites" at line 1 column 7"#
    );
    assert_eq!(
        problems("example.org"),
        r#"site 1 (example.org): url is "example.org", which is no URL: relative URL without a base; wants one such as https://example.org/"#
    );
}

#[test]
fn secrets_that_are_not_for_sites_cannot_be_named() {
    for (field, says) in [
        (
            json!({"headers": {"X": {"env": "DATABASE_URL"}}}),
            "only those beginning with SITE_SECRET_",
        ),
        (
            json!({"headers": {"X": {"file": "../database"}}}),
            "without a path",
        ),
        (json!({"headers": {"X": "a\r\nB: c"}}), "control character"),
        (
            json!({"headers": {"Content-Length": "5"}}),
            "set by the probe itself",
        ),
        (
            json!({"basic_auth": {"username": "a"}}),
            "wants {\"username\"",
        ),
        (
            json!({"bearer_token": "a", "basic_auth": {"username": "a", "password": "b"}}),
            "several credentials",
        ),
        (
            json!({"proxy": "socks5://a"}),
            "no proxy that is spoken to here",
        ),
        (
            json!({"tls_cert_file": "a.pem"}),
            "missing beside tls_cert_file",
        ),
        (json!({"method": "GE T"}), "another method of HTTP"),
        (
            json!({"min_body_size": 5, "max_body_size": 1}),
            "more than max_body_size",
        ),
        (
            json!({"timeout": "61s"}),
            "timeout is 61s; wants 1ms to 60s (CHECK_MAX_TIMEOUT)",
        ),
        (
            json!({"retry_delay": "2h"}),
            "wants 0ns to 60s (CHECK_MAX_TIMEOUT)",
        ),
        (
            json!({"retries": 11}),
            "retries is 11; at most 10 (CHECK_MAX_RETRIES)",
        ),
        (
            json!({"body_limit": "2MiB"}),
            "body_limit is 2097152; at most 1048576 (CHECK_MAX_BODY)",
        ),
        (
            json!({"regex_not": vec!["a"; 33]}),
            "makes 33 of its kind in all; at most 32",
        ),
        (
            json!({"regex_not": vec![r"\w{10}"; 20]}),
            "and the other patterns need",
        ),
    ] {
        let mut site = field.clone();
        site["url"] = "https://a.example".into();
        let problems = problems(&json!([site]).to_string());
        assert!(problems.contains(says), "{field}: {problems}");
    }
}

#[test]
fn rows_of_a_list_make_the_same_sites() {
    let text = json!([
        {"url": "https://a.example/x", "regex": "x", "interval": 5, "labels": {"a": "b"}, "timeout": 3},
        {"name": "plain", "url": "https://b.example/", "enabled": false},
    ])
    .to_string();
    let rows = rows_of_list(&text, &SiteDefaults::default()).unwrap();
    assert_eq!(rows[0].check_interval, Some(5.0));
    assert_eq!(rows[0].settings, Some(json!({"timeout": 3})));
    assert_eq!(rows[1].check_interval, None);
    let mut rows: Vec<_> = rows.into_iter().map(fields_of_row).collect();
    let (again, problems) = parse_objects(rows.clone(), &SiteDefaults::default());
    assert_eq!(again, read(&text).unwrap());
    assert!(problems.is_empty());
    rows[0].insert("regex".to_owned(), json!("("));
    let (left, problems) = parse_objects(rows, &SiteDefaults::default());
    assert_eq!(left, again[1..]);
    assert_eq!(problems.list()[0].position, 1);
}

#[test]
fn a_list_with_credentials_written_out_is_not_for_the_table() {
    let list = json!([
        {"name": "login", "url": "https://me:pw@a.example/"},
        {"name": "by-name", "url": "https://a.example/", "bearer_token": {"env": "SITE_SECRET_A"}},
        {"name": "header", "url": "https://a.example/", "headers": {"X-Api-Key": "hush", "Accept": "*/*"}},
        {"name": "proxy", "url": "https://a.example/", "proxy": "http://me:hush@proxy.example:3128"},
    ])
    .to_string();
    let problems = rows_of_list(&list, &SiteDefaults::default()).unwrap_err();
    let found: Vec<_> = problems
        .list()
        .iter()
        .map(|problem| (problem.position, problem.field.as_str()))
        .collect();
    assert_eq!(found, [(1, "url"), (3, "headers.X-Api-Key"), (4, "proxy")]);
    assert!(!problems.to_string().contains("hush"), "{problems}");
}

#[test]
fn names_are_stable_unique_and_short() {
    let long = format!("https://a.example/{}", "x".repeat(500));
    let name = default_name(&Url::parse(&long).unwrap());
    assert_eq!(name.chars().count(), crate::event::MAX_NAME);
    assert_ne!(
        name,
        default_name(&Url::parse(&format!("{long}y")).unwrap())
    );
    // What is asked for may be a secret, and names are seen by everybody.
    let of = |url: &str| default_name(&Url::parse(url).unwrap());
    let asked = of("https://a.example:8443/b/?token=hush");
    assert!(
        asked.starts_with("a.example:8443/b~") && !asked.contains("hush"),
        "{asked}"
    );
    assert_ne!(asked, of("https://a.example:8443/b/?token=other"));
    assert_eq!(of("https://a.example:8443/b/"), "a.example:8443/b");
    assert_eq!(
        problems("https://a.example https://a.example/")
            .lines()
            .count(),
        1
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        drop(read(&text));
    }

    #[test]
    fn no_json_makes_it_panic(name in "[a-z_]{1,12}", value in "[-0-9a-z\"\\[\\]{}:,. ]{0,30}") {
        drop(read(&format!("[{{\"url\": \"https://a.example\", \"{name}\": {value}}}]")));
    }

    #[test]
    fn every_field_takes_any_value_without_panic(field in 0..parse::FIELDS.len(), value in any_json()) {
        let mut site = json!({"url": "https://a.example"});
        site[parse::FIELDS[field]] = value;
        drop(read(&json!([site]).to_string()));
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

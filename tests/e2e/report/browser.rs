//! The status page in a real browser.

use std::path::Path;
use std::process::Command;

use sitewatch::event::CheckEvent;

use crate::support::{Prepared, down, lines, up};

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What a browser shows and says of a page.
pub(super) struct Shown {
    /// The document, as the browser understood it.
    pub(super) dom: String,
    /// What it complains of, the page's policy included.
    pub(super) console: Vec<String>,
}

pub(super) fn browse(page: &Path, more: &[String]) -> Shown {
    let profile = tempfile::tempdir().unwrap();
    let browser = BROWSERS
        .iter()
        .find(|name| {
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
                .any(|directory| directory.join(name).is_file())
        })
        .expect("Chromium is installed; tests/install.sh does that");
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--enable-logging=stderr",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(more)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("start the browser");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    Shown {
        dom: String::from_utf8_lossy(&output.stdout).into_owned(),
        console: stderr
            .lines()
            .filter(|line| line.contains("CONSOLE"))
            .map(str::to_owned)
            .collect(),
    }
}

const EVIL: &str = "<script>document.title='owned'</script>";

fn page(directory: &Path) -> std::path::PathBuf {
    let prepared = Prepared::new("report");
    // A day and a half, one of the sites down for a while, so that everything is drawn.
    let mut events: Vec<CheckEvent<'_>> = (1..36 * 6)
        .flat_map(|step| {
            let ago = step * 600 - 570;
            let shop = if (40..46).contains(&step) {
                down("shop", ago)
            } else {
                up("shop", ago)
            };
            [shop, up("blog", ago)]
        })
        .collect();
    for (at, event) in events.iter_mut().enumerate() {
        event.total_us = 60_000 + u32::try_from((at * 7_919) % 50_000).unwrap();
    }
    events.push(CheckEvent {
        site: EVIL.into(),
        url: "https://evil.example/".into(),
        error: Some("<img src=x onerror=alert(1)>".into()),
        ..down("evil", 30)
    });
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&events))
        .run()
        .exits(0);
    // What drain would not let through may still be there by other ways.
    prepared
        .client()
        .batch_execute("update checks set error = error || E'\\x1b[31m' where error like '<img%'")
        .unwrap();
    prepared.maintain().run().exits(0);
    let path = directory.join("status.html");
    prepared
        .report()
        .var("REPORT_FORMAT", "html")
        .var("REPORT_TITLE", "Status of <b>us</b>")
        .var("REPORT_OUTPUT", &path)
        .run()
        .exits(0);
    path
}

#[test]
fn the_page_renders_and_what_is_foreign_is_text() {
    let directory = tempfile::tempdir().unwrap();
    let path = page(directory.path());
    let html = std::fs::read_to_string(&path).unwrap();
    for absent in ["<script", "http://", "https://", " style=", "<b>", "<img"] {
        let found = html
            .replace("http://www.w3.org/2000/svg", "")
            .contains(absent);
        assert!(!found, "{absent} in the page");
    }
    let shown = browse(&path, &["--dump-dom".to_owned()]);
    assert_eq!(shown.console, Vec::<String>::new());
    assert!(!shown.dom.contains("<script"), "{}", shown.dom);
    for present in [
        "<title>Status of &lt;b&gt;us&lt;/b&gt;: 1 of 3 sites is down</title>",
        "&lt;script&gt;document.title='owned'&lt;/script&gt;",
        "&lt;img src=x onerror=alert(1)&gt;",
        "<header>",
        "<main>",
        "<footer",
        "lang=\"en\"",
        "<section aria-labelledby=\"sites\">",
        "✗ down",
        "✓ up",
        "<polyline",
        "class=\"good\"",
    ] {
        assert!(shown.dom.contains(present), "{present} in {}", shown.dom);
    }
    assert!(!shown.dom.contains('\u{1b}'));
    let picture = directory.path().join("page.png");
    for more in [vec![], vec!["--force-dark-mode".to_owned()]] {
        let mut arguments = vec![
            format!("--screenshot={}", picture.display()),
            "--window-size=420,900".to_owned(),
        ];
        arguments.extend(more);
        browse(&path, &arguments);
        assert!(std::fs::metadata(&picture).unwrap().len() > 10_000);
        std::fs::remove_file(&picture).unwrap();
    }
}

/// In a frame as wide as a small phone, within a page that may run scripts and tells what it sees.
#[test]
fn a_phone_shows_all_of_it_without_scrolling_sideways() {
    let directory = tempfile::tempdir().unwrap();
    let path = page(directory.path());
    let html = std::fs::read_to_string(&path)
        .unwrap()
        .replace("<details>", "<details open>");
    let measured = |html: &str| {
        let frame = directory.path().join("frame.html");
        let attribute = html.replace('&', "&amp;").replace('"', "&quot;");
        let text = format!(
            r#"<!doctype html><iframe width="320" height="700" srcdoc="{attribute}"></iframe>
            <script>onload = () => {{
                const shown = document.querySelector("iframe").contentDocument.documentElement;
                const cells = [...shown.querySelectorAll("td")];
                document.title = "wider by " + (shown.scrollWidth - shown.clientWidth) + ", "
                    + cells.filter(cell => cell.offsetWidth < 100).length + " narrow cells";
            }}</script>"#
        );
        std::fs::write(&frame, text).unwrap();
        let dom = browse(&frame, &["--dump-dom".to_owned()]).dom;
        let (_, title) = dom.split_once("<title>").unwrap();
        title.split_once("</title>").unwrap().0.to_owned()
    };
    assert!(html.contains("<td"), "{html}");
    assert_eq!(measured(&html), "wider by 0, 0 narrow cells");
    let too_wide = html.replacen("<h1>", &format!("<h1>{}", "wide".repeat(50)), 1);
    assert_ne!(measured(&too_wide), "wider by 0, 0 narrow cells");
}

#[test]
fn what_the_policy_forbids_would_be_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = page(directory.path());
    let html = std::fs::read_to_string(&path).unwrap();
    let html = html.replacen("<main>", "<main style=\"color:red\"><script>1</script>", 1);
    std::fs::write(&path, html).unwrap();
    let shown = browse(&path, &["--dump-dom".to_owned()]);
    assert_eq!(shown.console.len(), 2, "{:?}", shown.console);
}

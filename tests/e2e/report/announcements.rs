//! What people write on the page themselves.

use crate::support::{Prepared, lines, up};

#[test]
fn what_is_announced_stands_on_the_page_as_it_was_written() {
    let prepared = Prepared::new("announced");
    prepared
        .drain()
        .var("DRAIN_SOURCE", "stdin")
        .stdin(lines(&[up("shop", 60)]))
        .run()
        .exits(0);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("announcements.txt");
    let page = || {
        let report = prepared.report().var("REPORT_FORMAT", "html");
        report.var("REPORT_ANNOUNCEMENTS", &path)
    };
    std::fs::write(
        &path,
        "Work on Sunday:\n<script>alert(1)</script>\n\nA & B moved.\n",
    )
    .unwrap();
    let shown = page().run().exits(0).stdout;
    for part in [
        "<p class=\"announcement\">Work on Sunday:\n&#60;script&#62;alert(1)&#60;/script&#62;</p>",
        "<p class=\"announcement\">A &#38; B moved.</p>",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    std::fs::write(&path, "\n").unwrap();
    let shown = page().run().exits(0).stdout;
    assert!(!shown.contains("<p class=\"announcement\""), "{shown}");

    for (make, why) in [
        (
            None,
            "it cannot be read: No such file or directory (os error 2)",
        ),
        (Some(65_537), "it has more than 64 KiB"),
    ] {
        match make {
            None => std::fs::remove_file(&path).unwrap(),
            Some(bytes) => std::fs::write(&path, "x".repeat(bytes)).unwrap(),
        }
        page().run().exits(78).stderr_has(&format!(
            "REPORT_ANNOUNCEMENTS is \"{}\": {why}; wants the path of a text file of at most 64 KiB",
            path.display()
        ));
    }
}

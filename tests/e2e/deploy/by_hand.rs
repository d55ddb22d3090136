//! A person in a shell: a `.env` file in the working directory, or one named by `ENV_FILE`.

use std::fs;

use sitewatch_tests::command::Run;
use sitewatch_tests::websites::Website;

use crate::support::last_line;

#[test]
fn a_folder_with_a_dotenv_file_is_enough() {
    let website = Website::up("fine");
    let folder = tempfile::tempdir().unwrap();
    let file = format!("SITES={}\nPROBE_SINK=stdout\n", website.url());
    fs::write(folder.path().join(".env"), file).unwrap();
    let probe = Run::probe().in_dir(folder.path()).run().exits(0);
    assert_eq!(last_line(&probe.stderr), "1 check: 1 up, 0 down");

    // A folder below it is another folder.
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    Run::probe()
        .in_dir(below)
        .run()
        .exits(78)
        .stderr_has("SITES");
}

#[test]
fn a_file_named_by_env_file_is_read_instead_and_the_environment_wins_over_it() {
    let website = Website::up("fine");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".env"), "PROBE_SINK=nowhere\n").unwrap();
    let named = folder.path().join("env");
    let file = format!(
        "SITES={}\nPROBE_SINK=stdout\nLOG_LEVEL=warn\n",
        website.url()
    );
    fs::write(&named, file).unwrap();
    let probe = || Run::probe().in_dir(folder.path()).var("ENV_FILE", &named);
    probe().run().exits(0).stderr_is("");
    let loud = probe().var("LOG_LEVEL", "info").run().exits(0);
    assert_eq!(last_line(&loud.stderr), "1 check: 1 up, 0 down");

    Run::probe()
        .var("ENV_FILE", folder.path().join("missing"))
        .run()
        .exits(78)
        .stderr_has("ENV_FILE");
}

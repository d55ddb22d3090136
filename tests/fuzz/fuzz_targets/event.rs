//! Any bytes as an event: no panic, and what is read is written and read again the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sitewatch::event::CheckEvent;

fuzz_target!(|bytes: &[u8]| {
    let Ok(event) = CheckEvent::decode(bytes) else {
        return;
    };
    let written = event.to_json();
    assert_eq!(CheckEvent::decode(&written).expect("what was written is read"), event);
});

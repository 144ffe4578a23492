//! Files of captured statements: reading ends, and what was read is played in order.
//! Records of a pooler: writing ends, and what was written can be read.

use events::tap::Records;
use rehearse::statements::{Steps, Survey, Writer, head, session_of};
use std::sync::Arc;
use std::time::Duration;

/// The properties of captured statements: as a file, and as what a pooler passes on.
pub fn statements(data: &[u8]) {
    file(data);
    let mut records = Records::default();
    let mut writer = Writer::default();
    let mut lines = String::new();
    records.push(data);
    while let Ok(Some(record)) = records.next() {
        writer.take(record, &mut lines);
    }
    let mut text = head("then", "there", "nobody") + &Writer::header("then", "there");
    for line in lines.lines() {
        let session = session_of(line.as_bytes()).expect("a line has its session");
        if !writer.left_out().contains_key(&session) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.push_str(&writer.end().line());
    file(text.as_bytes());
}

fn file(data: &[u8]) {
    let Ok(survey) = Survey::of(data) else {
        return;
    };
    let requests = survey.requests();
    assert!(survey.open_max(None, 1.0, Duration::ZERO) <= survey.sessions.len());
    let steps = Steps::new(data, Arc::new(survey), None, 3.0);
    let mut steps = steps.expect("it was read before");
    let (mut last, mut ended) = (Duration::ZERO, 0);
    while let Some(step) = steps.next().expect("it was read before") {
        assert!(last <= step.at);
        last = step.at;
        if let rehearse::statements::Does::Send {
            frame,
            ends: Some(_),
        } = &step.does
        {
            assert!(wire::frame::peek(frame).is_ok_and(|frame| frame.is_some()));
            ended += 1;
        }
    }
    assert!(ended <= requests, "{ended} of {requests}");
}

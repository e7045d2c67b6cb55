//! JSON: blobs, roles, user events, and text from anywhere that must not break out of its string.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

use serde_json::{Value, json};
use stasis_bus::json::{self, Blob, BlobError, JSON, MultiBlob, Object, ToJson, UserEvent};
use stasis_bus::{Bus, Formatter, MessageType, Rendering, Sanitizer, Subject};
use std::any::Any;
use std::sync::Arc;

#[derive(Debug, PartialEq)]
struct Thing {
    kind: &'static str,
    id: String,
}

fn thing(kind: &'static str, id: &str) -> Arc<Thing> {
    Arc::new(Thing {
        kind,
        id: id.into(),
    })
}

/// What is held in user events.
struct Held(Arc<Thing>);

impl Object for Held {
    fn kind(&self) -> &str {
        self.0.kind
    }
    fn id(&self) -> &str {
        &self.0.id
    }
    fn snapshot(&self) -> &dyn Any {
        &*self.0
    }
    fn to_json(&self, _: &Rendering<'_>) -> Value {
        json!({ "id": self.0.id })
    }
}

fn render_blob(blob: &Blob<Arc<Thing>>, rendering: &Rendering<'_>) -> Option<Value> {
    let thing = blob.snapshot()?;
    let subject = Subject::new(thing.kind, &thing.id).with_snapshot(&**thing);
    (!rendering.leaves_out(&subject)).then(|| json!({ "id": thing.id, "data": blob.data() }))
}

static BLOB: MessageType<Blob<Arc<Thing>>> = MessageType::with_formats(
    "blob",
    &[Formatter::new(&JSON, |blob, rendering| {
        json::text(render_blob(blob, rendering))
    })],
);

static USER_EVENT: MessageType<UserEvent<Held>> =
    MessageType::with_formats("user_event", &[json::formatter()]);

fn parsed(text: Option<Arc<str>>) -> Value {
    serde_json::from_str(&text.expect("a text")).expect("valid JSON")
}

/// Text that has broken somebody's protocol once.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        "\"",
        "\\",
        "\\\"",
        "\"}",
        "\",\"admin\":true,\"x\":\"",
        "\r\nEvent: Injected\r\n\r\n",
        "</script><script>",
        "\u{2028}\u{2029}",
        "\u{feff}",
        "\u{202e}txt",
        "\u{10ffff}",
        "ü€😀",
    ]
    .map(String::from)
    .into();
    texts.extend((0..0x20_u8).map(|byte| format!("a{}b", char::from(byte))));
    texts.push(String::from_utf8_lossy(b"\xff\xfe\xc0\xafbad\xed\xa0\x80").into_owned());
    texts.push("x".repeat(100_000));
    // And mixtures.
    let mut state = 1_u64;
    for _ in 0..200 {
        let mut text = String::new();
        for _ in 0..20 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            let pick = (state >> 33) as usize;
            text.push(
                [
                    '"', '\\', '\n', '\r', '\0', '{', '}', ':', ',', 'a', '\u{7f}',
                ][pick % 11],
            );
        }
        texts.push(text);
    }
    texts
}

#[test]
fn a_blob_is_a_snapshot_or_none_and_json_or_null() {
    let door = thing("door", "front");
    let blob = Blob::new(Some(Arc::clone(&door)), json!({ "n": 1, "s": "t" }));
    assert!(Arc::ptr_eq(blob.snapshot().unwrap(), &door));
    assert_eq!((&blob["n"], blob.text("s")), (&json!(1), Some("t")));
    assert_eq!((blob.text("n"), blob.kind()), (None, None));
    assert!(blob["absent"].is_null());

    let empty = Blob::new(None::<Arc<Thing>>, None);
    assert!(empty.snapshot().is_none() && empty.data().is_null());
    assert!(empty["anything"].is_null());
    assert_eq!(BLOB.message(empty).render(&JSON), None);
}

#[test]
fn a_typed_blob_says_what_it_is() {
    let typed = |data| Blob::typed(None::<Arc<Thing>>, data);
    assert_eq!(typed(json!({ "type": "x" })).unwrap().kind(), Some("x"));
    assert_eq!(typed(json!({ "type": "" })).unwrap().kind(), Some(""));
    for (data, error) in [
        (json!(null), BlobError::NotAnObject),
        (json!("type"), BlobError::NotAnObject),
        (json!(["type"]), BlobError::NotAnObject),
        (json!({}), BlobError::NoType),
        (json!({ "Type": "x" }), BlobError::NoType),
        (json!({ "type": null }), BlobError::TypeNotAString),
        (json!({ "type": 7 }), BlobError::TypeNotAString),
        (json!({ "type": ["x"] }), BlobError::TypeNotAString),
    ] {
        assert_eq!(typed(data.clone()), Err(error), "{data}");
    }
}

#[test]
fn roles_are_alike_in_both_cases_and_have_an_order() {
    let (alice, bob, carol) = (thing("c", "alice"), thing("c", "bob"), thing("c", "carol"));
    let blob = MultiBlob::new(json!({ "k": true }))
        .with("Caller", Arc::clone(&alice))
        .and_then(|blob| blob.with("peer", Arc::clone(&bob)))
        .and_then(|blob| blob.with("PEER", Arc::clone(&carol)))
        .unwrap();
    assert_eq!(blob.get("caller"), Some(&alice));
    assert_eq!(blob.get("Peer"), Some(&bob));
    assert_eq!(blob.all("pEEr").collect::<Vec<_>>(), [&bob, &carol]);
    assert!(blob.get("").is_none() && blob.get("peers").is_none());
    let roles: Vec<_> = blob.iter().map(|(role, _)| role).collect();
    assert_eq!(roles, ["Caller", "peer", "PEER"]);
    assert_eq!(blob.data(), &json!({ "k": true }));

    assert!(MultiBlob::<u8>::new(None).data().is_null());
    assert_eq!(MultiBlob::new(None).with("", 1), Err(BlobError::EmptyRole));
}

#[test]
fn a_sanitized_object_takes_its_event_along() {
    let internal = Sanitizer::new("internal", |subject| {
        subject
            .snapshot::<Thing>()
            .is_some_and(|thing| thing.id.starts_with('_'))
    });
    let hidden = BLOB.message(Blob::new(Some(thing("door", "_trap")), None));
    assert_eq!(hidden.render_with(&JSON, &internal), None);
    assert_eq!(parsed(hidden.render(&JSON))["id"], "_trap");
    let seen = BLOB.message(Blob::new(Some(thing("door", "front")), None));
    assert_eq!(parsed(seen.render_with(&JSON, &internal))["id"], "front");
}

#[test]
fn a_user_event_has_all_objects_of_all_kinds() {
    let event = UserEvent::new("Alarm", json!({ "level": 3 }))
        .and_then(|event| event.with(Held(thing("door", "front"))))
        .and_then(|event| event.with(Held(thing("window", "_w"))))
        .and_then(|event| event.with(Held(thing("door", "_back"))))
        .unwrap();
    assert_eq!((event.name(), event.objects().len()), ("Alarm", 3));
    assert_eq!(event.data(), &json!({ "level": 3 }));
    let message = USER_EVENT.message(event);
    let value = parsed(message.render(&JSON));
    assert_eq!(value["type"], "ChannelUserevent");
    assert_eq!(value["eventname"], "Alarm");
    assert_eq!(value["userevent"], json!({ "level": 3 }));
    assert_eq!(value["timestamp"], json::timestamp(message.timestamp()));
    assert_eq!(value["door"], json!([{ "id": "front" }, { "id": "_back" }]));
    assert_eq!(value["window"], json!([{ "id": "_w" }]));

    let internal = Sanitizer::new("internal", |subject| {
        assert!(subject.snapshot::<Thing>().is_some());
        subject.id().starts_with('_')
    });
    let value = parsed(message.render_with(&JSON, &internal));
    assert_eq!(value["door"], json!([{ "id": "front" }]));
    assert_eq!(value.get("window"), None);
}

#[test]
fn bad_user_events() {
    let new = |name: &str, data: Value| UserEvent::<Held>::new(name, data).map(|_| ());
    assert_eq!(new("", json!({})), Err(BlobError::EmptyName));
    assert_eq!(new("x", json!([])), Err(BlobError::NotAnObject));
    assert_eq!(new("x", json!("{}")), Err(BlobError::NotAnObject));
    assert_eq!(new("x", json!(null)), Ok(()));
    for reserved in ["type", "timestamp", "eventname", "userevent"] {
        let event = UserEvent::<Held>::new("x", None).unwrap();
        let refused = event.with(Held(thing(reserved, "1"))).map(|_| ());
        assert_eq!(refused, Err(BlobError::ReservedKind));
    }
    for error in [
        BlobError::EmptyName,
        BlobError::ReservedKind,
        BlobError::NoType,
    ] {
        let error: &dyn std::error::Error = &error;
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn text_from_anywhere_stays_in_its_string() {
    for text in hostile() {
        let data = json!({ "key": text, &*text: 1 });
        let blob = Blob::new(Some(thing("door", &text)), data.clone());
        let rendered = BLOB.message(blob).render(&JSON);
        let line = rendered.clone().unwrap();
        assert!(!line.contains(['\n', '\r', '\0']), "{line:?}");
        assert_eq!(parsed(rendered), json!({ "id": text, "data": data }));

        if text.is_empty() {
            continue;
        }
        let event = UserEvent::new(&*text, data.clone())
            .and_then(|event| event.with(Held(thing("door", &text))))
            .unwrap();
        let value = parsed(USER_EVENT.message(event).render(&JSON));
        assert_eq!(value["eventname"], text);
        assert_eq!(value["userevent"], data);
        assert_eq!(value["door"], json!([{ "id": text }]));
        assert_eq!(value.as_object().map(|fields| fields.len()), Some(5));
    }
}

#[test]
fn subscribing_to_what_can_be_json() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("events").unwrap();
    let mut receiver = topic.subscribe().accept_format(&JSON).receiver().unwrap();
    topic.publish("no JSON").unwrap();
    topic
        .publish(USER_EVENT.message(UserEvent::new("hello", None).unwrap()))
        .unwrap();
    let message = receiver.try_recv().unwrap();
    assert_eq!(parsed(message.render(&JSON))["eventname"], "hello");
    assert!(receiver.try_recv().is_err());
}

#[test]
fn payloads_that_know_their_json() {
    struct Shy(bool);
    impl ToJson for Shy {
        fn to_json(&self, _: &Rendering<'_>) -> Option<Value> {
            self.0.then(|| json!({ "nan": f64::NAN }))
        }
    }
    static SHY: MessageType<Shy> = MessageType::with_formats("shy", &[json::formatter()]);
    assert_eq!(SHY.message(Shy(false)).render(&JSON), None);
    let text = SHY.message(Shy(true)).render(&JSON);
    assert_eq!(text.as_deref(), Some(r#"{"nan":null}"#));
}

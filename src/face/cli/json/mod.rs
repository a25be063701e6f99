//! Docker's JSON for containers, sandboxes and networks: its keys, in its order, for what netcell has.

mod container;
mod endpoint;
mod network;
mod ports;
mod settings;

pub use network::network;
pub use ports::{mappings, ports};

use super::tree;
use crate::engine::view::Subject;
use crate::types::json::{Json, to_text};
use crate::types::tree::Value;

/// The tree of what has a JSON text of its own.
pub fn tree(value: &impl Json) -> Value {
    // It was written just now, by those who read it.
    tree::parse(&to_text(value))
}

/// The labels of an object, as lists have them.
pub fn labels(labels: &Value) -> String {
    let mut text = String::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        text.push_str(if text.is_empty() { "" } else { "," });
        text.push_str(key);
        text.push('=');
        text.push_str(value.as_str().unwrap_or_default());
    }
    text
}

/// A container, or a sandbox alone in the shape of one.
pub fn subject(subject: &Subject) -> Value {
    match subject {
        Subject::Container(found) => container::container(found),
        Subject::Sandbox(sandbox, files) => container::alone(sandbox, files),
    }
}

/// Puts in what an object has not of another, which is JSON.
fn complete(mut object: Value, others: &str) -> Value {
    fn fill(object: &mut Value, missing: Value) {
        let (Value::Object(object), Value::Object(missing)) = (object, missing) else {
            return;
        };
        for (key, value) in missing {
            match object.get(&key) {
                Some(_) => fill(object.entry(&key), value),
                None => *object.entry(&key) = value,
            }
        }
    }
    fill(&mut object, tree::parse(others));
    object
}

#[cfg(test)]
mod tests {
    use super::container::CONTAINER;
    use super::*;
    use serde_json::json;

    #[test]
    fn dockers_other_keys_are_put_in_and_change_nothing() {
        for text in [CONTAINER, network::NETWORK, network::DEFAULT_NETWORK] {
            assert!(!tree::parse(text).is_null(), "{text}");
        }
        let own = json!({"Path": "sleep", "State": {"Paused": true}, "Config": {"Cmd": ["sleep"]}});
        let whole = complete(own.into(), CONTAINER);
        assert_eq!(
            (&whole["Path"], &whole["State"]["Paused"]),
            (&"sleep".into(), &true.into())
        );
        assert_eq!(whole["Config"]["Cmd"], json!(["sleep"]).into());
        assert_eq!(
            (&whole["Config"]["Labels"], &whole["HostConfig"]["Memory"]),
            (&json!({}).into(), &0.into())
        );
    }
}

//! Whether an answer has the shape of a recorded one: key sets and JSON types everywhere, equal text where clients look.

use serde_json::Value;

/// Places whose text has to be equal: what clients match, and the words of tables.
const TEXTS: [&str; 5] = [".msg", ".ename", ".kind", ".headers[].name", ".headers[].type"];

/// Differences between a recorded body and an answer's, each as `place: recorded -> answered`.
pub fn differences(recorded: &Value, answered: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", recorded, answered, &mut found);
    found
}

fn compare(place: &str, recorded: &Value, answered: &Value, found: &mut Vec<String>) {
    match (recorded, answered) {
        (Value::Object(r), Value::Object(a)) => {
            for key in r.keys().filter(|k| !a.contains_key(*k)) {
                found.push(format!("{place}.{key}: missing"));
            }
            for key in a.keys().filter(|k| !r.contains_key(*k)) {
                found.push(format!("{place}.{key}: added"));
            }
            for (key, value) in r {
                if let Some(answered) = a.get(key) {
                    compare(&format!("{place}.{key}"), value, answered, found);
                }
            }
        }
        (Value::Array(r), Value::Array(a)) => elements(place, r, a, found),
        _ if kind(recorded) != kind(answered) => {
            found.push(format!("{place}: {} -> {}", kind(recorded), kind(answered)));
        }
        _ if is_exact(place) && recorded != answered => found.push(format!("{place}: {recorded} -> {answered}")),
        _ => {}
    }
}

/// Tables, schemas and lists of objects as long as the recorded one are compared in order. Of other lists (logs, tracebacks) every
/// element has to be like one that was recorded.
fn elements(place: &str, recorded: &[Value], answered: &[Value], found: &mut Vec<String>) {
    let objects = recorded.iter().all(Value::is_object) && recorded.len() == answered.len();
    if is_table(place) || objects {
        if recorded.len() != answered.len() {
            found.push(format!("{place}: {} elements -> {}", recorded.len(), answered.len()));
        }
        for (r, a) in recorded.iter().zip(answered) {
            compare(&format!("{place}[]"), r, a, found);
        }
    } else {
        for a in answered {
            let nearest = recorded.iter().min_by_key(|r| differences(r, a).len());
            if let Some(nearest) = nearest {
                compare(&format!("{place}[]"), nearest, a, found);
            }
        }
    }
    found.dedup();
}

fn is_table(place: &str) -> bool {
    place.contains(".data.") || place.ends_with(".candidates")
}

/// SQL schemas stand in results of type JSON; whatever stands there beside names and types is a value.
fn is_exact(place: &str) -> bool {
    TEXTS.iter().any(|text| place.ends_with(text)) || (place.contains(".schema.") && !place.contains(".metadata"))
}

/// The JSON type of a value; Livy's integers stay integers.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "fraction",
        Value::Number(_) => "integer",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

#[test]
fn shapes_are_told_apart() {
    use serde_json::json;
    let none: [&str; 0] = [];
    assert_eq!(differences(&json!({"id": 1, "log": ["a"]}), &json!({"id": 7, "log": []})), none);
    assert_eq!(differences(&json!({"id": 1}), &json!({"id": 1.5, "x": 0})), [".x: added", ".id: integer -> fraction"]);
    assert_eq!(differences(&json!({"msg": "a"}), &json!({"msg": "b"})), [r#".msg: "a" -> "b""#]);
    let table = |t: &str, rows: Value| json!({"data": {"x": {"headers": [{"name": "n", "type": t}], "data": rows}}});
    assert_eq!(differences(&table("A", json!([[1]])), &table("A", json!([[2]]))), none);
    assert_eq!(differences(&table("A", json!([[1]])), &table("B", json!([["x"]]))).len(), 2);
}

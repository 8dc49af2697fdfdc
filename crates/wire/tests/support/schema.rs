//! JSON Schema, as much of it as schemas/ uses: a keyword that is not known fails the test.

use milepost_model::Timestamp;
use serde_json::Value;

/// What of `value` does not fit the schema, if anything.
pub(crate) fn fault(schema: &Value, value: &Value) -> Option<String> {
    schema.as_object().unwrap().iter().find_map(|(keyword, wanted)| {
        let fits = match keyword.as_str() {
            "type" => match wanted.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "number" => value.is_number(),
                "integer" => value.is_u64() || value.is_i64(),
                other => panic!("type {other}"),
            },
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_f64() >= wanted.as_f64(),
            "maximum" => value.as_f64() <= wanted.as_f64(),
            "minLength" => value.as_str().is_none_or(|text| text.len() as u64 >= wanted.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.len() as u64 <= wanted.as_u64().unwrap()),
            "format" if wanted == "date-time" => {
                value.as_str().is_none_or(|text| text.parse::<Timestamp>().is_ok())
            }
            // Descriptions. Patterns and URIs are checked elsewhere.
            "$schema" | "$id" | "title" | "description" | "contentEncoding" | "pattern" | "format" => true,
            "required" => {
                wanted.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object().unwrap();
                value.as_object().is_none_or(|members| members.keys().all(|name| known.contains_key(name)))
            }
            "properties" => {
                let members = wanted.as_object().unwrap().iter();
                let mut present = members.filter_map(|(name, schema)| Some((name, schema, value.get(name)?)));
                return present.find_map(|(name, schema, member)| {
                    fault(schema, member).map(|fault| format!("{name}: {fault}"))
                });
            }
            "items" => {
                let items = value.as_array();
                return items.and_then(|items| items.iter().find_map(|item| fault(wanted, item)));
            }
            "oneOf" => fitting(wanted, value) == 1,
            "anyOf" => fitting(wanted, value) >= 1,
            other => panic!("keyword {other}"),
        };
        (!fits).then(|| format!("{value} against {keyword} {wanted}"))
    })
}

fn fitting(schemas: &Value, value: &Value) -> usize {
    schemas.as_array().unwrap().iter().filter(|schema| fault(schema, value).is_none()).count()
}

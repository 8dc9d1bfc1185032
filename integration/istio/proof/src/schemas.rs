//! JSON schemas for kubeconform, from what the bed's API server publishes of its own kinds and of Istio's definitions.
//! Closed: a field that a schema does not know is an error.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::{Bed, Fault};

/// The API groups whose kinds our manifests use.
const GROUPS: [&str; 10] = [
    "api/v1",
    "apis/apps/v1",
    "apis/argoproj.io/v1alpha1",
    "apis/extensions.istio.io/v1alpha1",
    "apis/flagger.app/v1beta1",
    "apis/monitoring.coreos.com/v1",
    "apis/networking.istio.io/v1",
    "apis/networking.istio.io/v1alpha3",
    "apis/security.istio.io/v1",
    "apis/telemetry.istio.io/v1",
];

/// How kubeconform is to look for a schema in the folder.
const NAME: &str = "{{ .ResourceKind }}{{ .KindSuffix }}.json";

/// Says of every object with known fields that it has no others. Conditions (`oneOf`, `not` and their like) name some of
/// an object's fields only, and stay open.
fn close(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    let open = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    if schema.contains_key("properties") && !open {
        schema.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(close);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(inner) {
            close(inner);
        }
    }
}

/// The schema of each kind that a group's document describes, by the name that kubeconform looks for.
fn kinds(mut document: Value) -> Vec<(String, Value)> {
    let mut schemas = match document.pointer_mut("/components/schemas").map(Value::take) {
        Some(Value::Object(schemas)) => schemas,
        _ => Map::new(),
    };
    schemas.values_mut().for_each(close);
    let named = schemas.iter().filter_map(|(key, schema)| {
        let [kind] = schema.get("x-kubernetes-group-version-kind")?.as_array()?.as_slice() else {
            return None;
        };
        let word = |field| kind.get(field).and_then(Value::as_str);
        let group = word("group")?.split('.').next().filter(|group| !group.is_empty());
        let words = [word("kind"), group, word("version")];
        let name: Vec<String> = words.into_iter().flatten().map(str::to_lowercase).collect();
        Some((name.join("-"), format!("#/components/schemas/{key}")))
    });
    named
        .map(|(name, reference)| {
            (name, json!({ "$ref": reference, "components": { "schemas": &schemas } }))
        })
        .collect()
}

impl Bed {
    /// Writes the schemas into a folder of the bed, and gives it.
    ///
    /// # Errors
    /// When the API server does not answer, or the folder cannot be written.
    pub fn schemas(&self) -> Result<PathBuf, Fault> {
        let folder = self.state.join("schemas");
        let write = |path: &Path, text: String| {
            std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
        };
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        for group in GROUPS {
            let text = self.kubectl(&["get", "--raw", &format!("/openapi/v3/{group}")])?;
            let document = serde_json::from_str(&text).map_err(|e| format!("{group}: {e}"))?;
            for (name, schema) in kinds(document) {
                write(&folder.join(format!("{name}.json")), schema.to_string())?;
            }
        }
        Ok(folder)
    }

    /// Has kubeconform judge manifests by the schemas of [`Bed::schemas`].
    ///
    /// # Errors
    /// With what it finds wrong; a kind without a schema is wrong too.
    pub fn conform(&self, schemas: &Path, manifests: &str) -> Result<(), Fault> {
        let location = schemas.join(NAME);
        let arguments = ["-strict", "-schema-location", &location.to_string_lossy(), "-"];
        self.run("kubeconform", &arguments, manifests).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_closed_where_their_fields_are_known_and_conditions_are_not() {
        let mut schema = json!({
            "properties": {
                "free": { "x-kubernetes-preserve-unknown-fields": true, "properties": { "a": {} } },
                "list": { "items": { "properties": { "b": {} } } },
                "map": { "additionalProperties": { "type": "string" } },
            },
            "oneOf": [{ "properties": { "free": {} } }],
        });
        close(&mut schema);
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["list"]["items"]["additionalProperties"], false);
        assert_eq!(schema["properties"]["free"].get("additionalProperties"), None);
        assert_eq!(schema["properties"]["map"]["additionalProperties"]["type"], "string");
        assert_eq!(schema["oneOf"][0].get("additionalProperties"), None);
    }
}

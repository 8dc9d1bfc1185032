//! What is imported, and what is refused by name.

use super::*;

const ON: &str = r#""filter_enabled":{"default_value":{"numerator":100}},
    "filter_enforced":{"default_value":{"numerator":100}},"rate_limited_as_resource_exhausted":true"#;
const BUCKET: &str = r#""token_bucket":{"max_tokens":5,"tokens_per_fill":2,"fill_interval":"60s"}"#;

fn imported(fields: &str) -> Result<(Value, Vec<String>), Invalid> {
    import(format!(r#"{{"stat_prefix":"http local",{ON},{fields}}}"#).as_bytes())
}

#[test]
fn a_bucket_for_all_is_a_rule_for_all() {
    let (document, notes) = imported(&format!(
        r#"{BUCKET},"status":{{"code":503}},"enable_x_ratelimit_headers":"DRAFT_VERSION_03""#
    ))
    .unwrap();
    let bucket = json!({"maxTokens": 5, "tokensPerFill": 2, "fillInterval": "60s"});
    let expected = json!({
        "rules": [{"name": "http-local", "tokenBucket": bucket}],
        "limitHeaders": "xRateLimit",
        "reply": {"status": 503},
    });
    assert_eq!((document, notes), (expected, vec![]));
}

#[test]
fn a_descriptor_is_a_rule_with_conditions_and_a_key() {
    let (document, notes) = imported(&format!(
        r#""rate_limits":[{{"actions":[
            {{"generic_key":{{"descriptor_value":"search"}}}},
            {{"request_headers":{{"header_name":"x-plan","descriptor_key":"plan"}}}},
            {{"masked_remote_address":{{"v4_prefix_mask_len":24}}}}]}}],
        "descriptors":[{{{BUCKET},"shadow_mode":true,"entries":[
            {{"key":"generic_key","value":"search"}},{{"key":"plan","value":"free"}},
            {{"key":"masked_remote_address"}}]}}],
        "max_dynamic_descriptors":100"#
    ))
    .unwrap();
    let rule = json!({
        "name": "http-local/0",
        "when": [{"key": "request.headers[x-plan]", "values": ["free"]}],
        "key": [{"clientAddress": {"ipv4Prefix": 24, "ipv6Prefix": 128}}],
        "missingKey": "skip",
        "mode": "shadow",
        "tokenBucket": {"maxTokens": 5, "tokensPerFill": 2, "fillInterval": "60s"},
    });
    assert_eq!(document, json!({"rules": [rule]}));
    assert_eq!(notes.len(), 1, "{notes:?}");
}

#[test]
fn what_is_enforced_in_part_or_not_at_all_is_told() {
    let with = |enforced: &str| {
        let text = format!(
            r#"{{"stat_prefix":"a","filter_enabled":{{"default_value":{{"numerator":100}},"runtime_key":"k"}},{enforced}{BUCKET}}}"#
        );
        import(text.as_bytes()).unwrap()
    };
    assert_eq!(with("").0["rules"][0]["mode"], "shadow");
    let half =
        r#""filter_enforced":{"default_value":{"numerator":500000,"denominator":"MILLION"}},"#;
    let (document, notes) = with(half);
    assert_eq!(document["rules"][0]["enforcedPercent"], 50);
    assert_eq!(notes.len(), 2, "{notes:?}");
}

#[test]
fn what_cannot_be_expressed_is_named() {
    let descriptor = |value: &str| {
        format!(
            r#""rate_limits":[{{"actions":[{{"query_parameters":{{"query_parameter_name":"q","descriptor_key":"q"}}}}]}}],
               "descriptors":[{{{BUCKET},"entries":[{{"key":"{value}","value":"x"}}]}}]"#
        )
    };
    for (fields, pointer) in [
        (format!(r#"{BUCKET},"local_rate_limit_per_downstream_connection":true"#), "/local_rate_limit_per_downstream_connection"),
        (format!(r#"{BUCKET},"local_cluster_rate_limit":{{}}"#), "/local_cluster_rate_limit"),
        (format!(r#"{BUCKET},"response_headers_to_add":[]"#), "/response_headers_to_add"),
        (r#""token_bucket":{"max_tokens":1,"fill_interval":"soon"}"#.to_owned(), "/token_bucket/fill_interval"),
        (format!(r#""descriptors":[{{{BUCKET},"entries":[{{"key":"a"}}]}}]"#), "/rate_limits"),
        (descriptor("q"), "/descriptors/0/entries/0/value"),
        (descriptor("other"), "/descriptors/0/entries"),
        (r#""rate_limits":[{"actions":[{"destination_cluster":{}}]}]"#.to_owned(), "/rate_limits/0/actions/0/destination_cluster"),
        (r#""rate_limits":[{"actions":[{"request_headers":{"header_name":":path","descriptor_key":"p"}}]}]"#.to_owned(), "/rate_limits/0/actions/0/request_headers/header_name"),
    ] {
        assert_eq!(imported(&fields).unwrap_err().pointer, pointer, "{fields}");
    }
    let off = format!(r#"{{"stat_prefix":"a",{BUCKET}}}"#);
    assert_eq!(import(off.as_bytes()).unwrap_err().pointer, "/filter_enabled");
}

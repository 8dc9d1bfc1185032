//! What is read in a document, and what is not.

use super::*;

fn read(document: &str) -> Result<Vec<String>, String> {
    let operations = operations(document.as_bytes()).map_err(|invalid| invalid.to_string())?;
    let method = |method| crate::method::Methods::only(method).names().next().unwrap_or_default();
    let line = |operation: &Operation| {
        let id = operation.id.as_deref().unwrap_or("-");
        format!("{} {} {id}", method(operation.method), operation.path)
    };
    Ok(operations.iter().map(line).collect())
}

#[test]
fn every_operation_is_a_route() {
    let document = r#"{
        "openapi": "3.0.0",
        "info": {"title": "a", "x-nothing": null},
        "paths": {
            "x-extension": {"get": 1},
            "/products": {
                "summary": "no operation",
                "parameters": [],
                "get": {"operationId": "listProducts", "responses": {}},
                "post": {}
            },
            "/products/{id}": {"delete": {"operationId": "removeProduct"}}
        }
    }"#;
    let expected =
        ["GET /products listProducts", "POST /products -", "DELETE /products/{id} removeProduct"];
    assert_eq!(read(document).unwrap(), expected);
}

#[test]
fn servers_say_where_paths_begin() {
    let with = |servers: &str, item: &str, operation: &str| {
        let document = format!(
            r#"{{"openapi":"3.1.0","servers":{servers},"paths":{{"/a":{{{item}"get":{{{operation}}}}}}}}}"#
        );
        read(&document)
    };
    assert_eq!(with("[]", "", "").unwrap(), ["GET /a -"]);
    assert_eq!(with(r#"[{"url":"/"}]"#, "", "").unwrap(), ["GET /a -"]);
    assert_eq!(
        with(r#"[{"url":"https://x.example/api/v1/"}]"#, "", "").unwrap(),
        ["GET /api/v1/a -"]
    );
    let two = r#"[{"url":"https://x.example/v1"},{"url":"https://y.example/v1"},{"url":"/v2?q"}]"#;
    assert_eq!(with(two, "", "").unwrap(), ["GET /v1/a -", "GET /v2/a -"]);
    let variable = r#"[{"url":"{scheme}://x/{base}","variables":{"base":{"default":"b"},"scheme":{"default":"https"}}}]"#;
    assert_eq!(with(variable, "", "").unwrap(), ["GET /b/a -"]);
    assert_eq!(with("[]", r#""servers":[{"url":"/item"}],"#, "").unwrap(), ["GET /item/a -"]);
    let nearest = r#""servers":[{"url":"/op"}]"#;
    assert_eq!(with("[]", r#""servers":[{"url":"/item"}],"#, nearest).unwrap(), ["GET /op/a -"]);
    assert!(with(r#"[{"url":"api"}]"#, "", "").unwrap_err().contains("/paths/~1a/get"));
}

#[test]
fn a_path_may_be_described_elsewhere() {
    let with = |item: &str, others: &str| {
        read(&format!(
            r##"{{"openapi":"3.1.0","paths":{{"/a":{item},"/{{id}}":{{"put":{{}}}}}},
                "components":{{"pathItems":{{"A":{{"get":{{"operationId":"a"}}}},{others}"~/%":{{"post":{{}}}}}}}}}}"##
        ))
    };
    let expected = ["GET /a a", "PUT /{id} -"];
    assert_eq!(with(r##"{"$ref":"#/components/pathItems/A"}"##, "").unwrap(), expected);
    // Through another, by escapes of both kinds, and with operations of its own.
    let over = r##""B":{"$ref":"#/components/pathItems/A","delete":{}},"##;
    let expected = ["DELETE /a -", "GET /a a", "PATCH /a -", "PUT /{id} -"];
    let item = r##"{"$ref":"#/components/pathItems/B","patch":{},"summary":""}"##;
    assert_eq!(with(item, over).unwrap(), expected);
    let escaped = with(r##"{"$ref":"#/components/pathItems/~0~1%25"}"##, "").unwrap();
    assert_eq!(escaped, ["POST /a -", "PUT /{id} -"]);
    let other = with(r##"{"$ref":"#/paths/~1%7Bid%7D"}"##, "").unwrap();
    assert_eq!(other, ["PUT /a -", "PUT /{id} -"]);
    let servers = r#""S":{"servers":[{"url":"/s"}],"get":{}},"#;
    let nearest = r##"{"$ref":"#/components/pathItems/S","servers":[{"url":"/own"}]}"##;
    assert_eq!(with(nearest, servers).unwrap(), ["GET /own/a -", "PUT /{id} -"]);
    let theirs = r##"{"$ref":"#/components/pathItems/S"}"##;
    assert_eq!(with(theirs, servers).unwrap(), ["GET /s/a -", "PUT /{id} -"]);
}

#[test]
fn a_path_that_is_described_nowhere_is_refused() {
    for reference in [
        "#/components/pathItems/B",
        "other.json#/A",
        "",
        "A",
        "#components",
        "#/openapi",
        "#/paths/~1a",
    ] {
        let document = format!(
            r##"{{"openapi":"3.1.0","paths":{{"/a":{{"$ref":"{reference}"}}}},"components":{{"pathItems":{{"A":{{}}}}}}}}"##
        );
        let error = read(&document).unwrap_err();
        assert!(error.contains("/paths/~1a/$ref"), "{reference}: {error}");
    }
    // The operation is at fault, but the path is where it is told.
    let elsewhere = r##"{"openapi":"3.1.0","paths":{"/a":{"$ref":"#/x"}},"x":{"get":{"servers":[{"url":"b"}]}}}"##;
    let error = read(elsewhere).unwrap_err();
    assert!(error.contains("/paths/~1a/$ref"), "{error}");
    let twice =
        r##"{"openapi":"3.1.0","paths":{"/a":{"$ref":"#/paths/~1b","get":{}},"/b":{"get":{}}}}"##;
    let error = read(twice).unwrap_err();
    assert!(error.contains("each operation once") && error.contains("/paths/~1a\""), "{error}");
}

#[test]
fn what_is_no_such_document_is_refused() {
    for (document, told) in [
        (r#"{"swagger":"2.0","paths":{}}"#, "a field `openapi`"),
        (r#"{"openapi":"2.0","paths":{}}"#, "a version 3"),
        ("openapi: 3.0.0", "a JSON document"),
        (r#"{"openapi":"3.0.0","paths":{"/a":{"get":1}}}"#, "/paths/~1a/get"),
    ] {
        let error = read(document).unwrap_err();
        assert!(error.contains(told), "{document}: {error}");
    }
}

//! Baggage: what goes on, and what is left in filter state. Several rows are facts of w3c/baggage's
//! `test/test_baggage.py` and of open-telemetry/opentelemetry-go's `baggage/baggage_test.go`.

use crate::Subject;

fn carried(subject: &Subject, lines: &[&str]) -> Option<String> {
    let lines: Vec<(&str, &str)> = lines.iter().map(|line| ("baggage", *line)).collect();
    subject.sends_one("baggage", &lines)
}

fn keeping(baggage: &str) -> Subject {
    Subject::new(&format!(r#"{{"mode":"sanitise","parentId":"keep","baggage":{baggage}}}"#))
}

#[test]
fn valid_members_go_on_and_others_do_not() {
    let subject = Subject::new(r#"{"mode":"sanitise"}"#);
    for (line, kept) in [
        ("SomeKey=SomeValue", "SomeKey=SomeValue"),
        (
            "SomeKey=SomeValue;SomeProp,SomeKey2=SomeValue2;ValueProp=PropVal",
            "SomeKey=SomeValue;SomeProp,SomeKey2=SomeValue2;ValueProp=PropVal",
        ),
        (
            "SomeKey \t = \t SomeValue \t ; \t SomeProp \t , \t SomeKey2 \t = \t SomeValue2 \t ; \t ValueProp \t = \t PropVal",
            "SomeKey=SomeValue;SomeProp,SomeKey2=SomeValue2;ValueProp=PropVal",
        ),
        ("SomeKey=SomeValue=equals", "SomeKey=SomeValue=equals"),
        (
            "SomeKey=SomeValue;SomeProp;SomeProp=PropValue;SomeProp=Another",
            "SomeKey=SomeValue;SomeProp;SomeProp=PropValue;SomeProp=Another",
        ),
        (
            "SomeKey=SomeValue;ValueProp%20%09%20%3D%20%09%20PropVal",
            "SomeKey=SomeValue;ValueProp%20%09%20%3D%20%09%20PropVal",
        ),
        (
            "SomeKey=%09%20%22%27%3B%3Dasdf%21%40%23%24%25%5E%26%2A%28%29",
            "SomeKey=%09%20%22%27%3B%3Dasdf%21%40%23%24%25%5E%26%2A%28%29",
        ),
        (
            "userId=Am%C3%A9lie,serverNode=DF%2028,isProduction=false",
            "userId=Am%C3%A9lie,serverNode=DF%2028,isProduction=false",
        ),
        ("foo=", "foo="),
        ("foo=;state=on;red", "foo=;state=on;red"),
        ("key==", "key=="),
        ("foo=1;state=on;red,foo=2", "foo=1;state=on;red,foo=2"),
        ("k=aa%ffcc;p=d%fff", "k=aa%ffcc;p=d%fff"),
        ("foo=,,bar=", "foo=,bar="),
        ("a=1,foo,b=2", "a=1,b=2"),
        ("=foo,b=2", "b=2"),
        ("\\=value,b=2", "b=2"),
        ("foo=\\,b=2", "b=2"),
        ("key1=val%,b=2", "b=2"),
        ("key1=val%2,b=2", "b=2"),
        ("key1=val%2g,b=2", "b=2"),
        ("foo=1;=v,b=2", "b=2"),
        ("foo=1;key\\=v,b=2", "b=2"),
        ("foo=1;key=\\,b=2", "b=2"),
        ("foo=1;key=val%,b=2", "b=2"),
        ("foo=1;,b=2", "b=2"),
        ("foo=a b,b=2", "b=2"),
        ("foo=é,b=2", "b=2"),
        ("fo o=1,b=2", "b=2"),
    ] {
        assert_eq!(carried(&subject, &[line]).as_deref(), Some(kept), "{line}");
    }
    assert_eq!(carried(&subject, &["", " , ", "foo"]), None);
    assert_eq!(carried(&subject, &["a=1", "b=2,c=3"]).as_deref(), Some("a=1,b=2,c=3"));
}

#[test]
fn members_go_on_whole_up_to_the_limits() {
    let subject = keeping("{}");
    let many: Vec<String> = (0..70).map(|n| format!("a{n}=")).collect();
    assert_eq!(carried(&subject, &[&many.join(",")]), Some(many[..64].join(",")));
    // The largest list that every platform passes on, and a byte more.
    let thirds: Vec<String> = (0..3).map(|n| format!("k{n}={}", "v".repeat(2727))).collect();
    assert_eq!(thirds.join(",").len(), 8192);
    assert_eq!(carried(&subject, &[&thirds.join(",")]), Some(thirds.join(",")));
    let more = format!("{}v,z=1", thirds.join(","));
    assert_eq!(carried(&subject, &[&more]), Some(format!("{},{},z=1", thirds[0], thirds[1])));
    let subject = keeping(r#"{"maxMembers":70,"maxBytes":9000}"#);
    assert_eq!(carried(&subject, &[&many.join(",")]), Some(many.join(",")));
}

#[test]
fn only_what_is_listed_goes_on() {
    let subject = keeping(r#"{"allow":["tenant","region"]}"#);
    let lines = ["tenant=a;p,user=me,Tenant=b", "region=eu,tenant=c"];
    assert_eq!(carried(&subject, &lines).as_deref(), Some("tenant=a;p,region=eu,tenant=c"));
    assert_eq!(carried(&subject, &["user=me"]), None);
}

#[test]
fn members_are_left_in_filter_state_decoded() {
    for mode in [r#""mode":"pass""#, r#""mode":"sanitise""#] {
        let subject = Subject::new(&format!(
            r#"{{{mode},"baggage":{{"publish":["tenant","user-id","other"]}}}}"#
        ));
        for (value, text) in [
            ("acme", "acme"),
            ("DF%2028;p=1", "DF 28"),
            ("val%252%2C", "val%2,"),
            ("%C4%85%C5%9B%C4%87", "ąść"),
            ("aa%ffcc", "aa\u{fffd}cc"),
            ("a%0d%0ab%7f%00", "a\u{fffd}\u{fffd}b\u{fffd}\u{fffd}"),
            ("old,tenant=new", "new"),
            ("", ""),
        ] {
            let line = format!("user-id=7,tenant={value}");
            let published = subject.publishes(&[("baggage", &line)]);
            assert_eq!(published["baggage_tenant"], text);
            assert_eq!(published["baggage_user_id"], "7");
            assert!(!published.contains_key("baggage_other"));
        }
        let long = format!("tenant={}%C3%A9", "x".repeat(255));
        assert_eq!(subject.publishes(&[("baggage", &long)])["baggage_tenant"], "x".repeat(255));
    }
}

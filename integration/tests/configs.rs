//! Every file in `envoy-configs/` loads, serves, and decides what its comments and README.md promise.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use integration::corpus::FILTERS;
use integration::folder::Folder;
use integration::tour::{METRICS, stops, visit};
use integration::{Bootstrap, Client, Envoy, Request, demo, poll, validate, workspace};
use serde_json::Value;

fn start(name: &str) -> (Envoy, Client) {
    let folder = Folder::temporary().unwrap();
    let bootstrap = Bootstrap::anywhere(name, folder.path()).unwrap();
    let envoy = Envoy::start_in(folder, &bootstrap, 1).unwrap();
    let client = Client::new(envoy.listener("demo").unwrap());
    (envoy, client)
}

fn body(client: &mut Client, request: &Request) -> Value {
    let response = client.send(request).unwrap();
    assert_eq!(response.status, 200, "{request:?}");
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn every_file_is_accepted_as_it_is_and_is_on_the_page() {
    let folder = workspace::root().join("envoy-configs");
    let page = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let mut listed = page.matches("\n| [`").count();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let validation = validate(&Bootstrap::shipped(name).unwrap()).unwrap();
            assert!(validation.accepted, "{name}: {}", validation.log);
            assert!(page.contains(&format!("| [`{name}.yaml`]({name}.yaml) |")), "{name}");
            listed -= 1;
        }
    }
    assert_eq!(listed, 0, "the page lists files that are not there");
}

#[test]
fn the_suite_is_configured_like_the_chain() {
    let demo = |name| Bootstrap::shipped(name).unwrap().demo().unwrap();
    let (chain, suite) = (demo("chain"), demo("suite").configuration("suite").unwrap());
    for filter in FILTERS {
        assert_eq!(suite[filter], chain.configuration(filter).unwrap());
    }
    assert_eq!(suite["authz"], demo("authz").configuration("authz").unwrap());
    let keys: Value =
        serde_json::from_str(suite["authz"]["jwtRules"][0]["jwks"].as_str().unwrap()).unwrap();
    assert_eq!(keys, serde_json::from_str::<Value>(cases::JWKS).unwrap());
}

#[test]
fn authz_tells_401_403_and_200_apart() {
    let (_envoy, mut client) = start("authz");
    let token = demo::token("ann", &[]).unwrap();
    assert_eq!(client.send(&Request::get("/")).unwrap().status, 401);
    assert_eq!(client.send(&Request::get("/admin").bearer(&token)).unwrap().status, 403);
    let seen = body(&mut client, &Request::get("/").with("x-jwt-sub", "root").bearer(&token));
    assert_eq!(seen["x-jwt-sub"], "ann", "and only the token says who it is");
}

/// The token of README.md that is called so.
fn token(name: &str) -> String {
    let path = workspace::root().join("envoy-configs/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let line = readme.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap().to_owned()
}

#[test]
fn authz_denies_all_but_what_is_opened() {
    let (_envoy, mut client) = start("authz-deny-all");
    let mut status = |method, path| client.send(&Request::new(method, path)).unwrap().status;
    assert_eq!(status("GET", "/"), 403);
    assert_eq!(status("GET", "/healthz"), 200);
    assert_eq!(status("POST", "/healthz"), 403);
}

#[test]
fn authz_knows_an_editor_by_role_and_a_scope_that_is_wanting() {
    let (_envoy, mut client) = start("authz-roles");
    let mut ask = |method, path, who: Option<&str>| {
        let request = Request::new(method, path);
        let request = who.map_or(request.clone(), |who| request.bearer(&token(who)));
        client.send(&request).unwrap()
    };
    assert_eq!(ask("GET", "/", None).status, 401);
    assert_eq!(ask("GET", "/", Some("EDITOR")).status, 200);
    assert_eq!(ask("PUT", "/articles/7", Some("EDITOR")).status, 200);
    assert_eq!(ask("PUT", "/articles/7", Some("TOKEN")).status, 403);
    let drafts = ask("GET", "/drafts", Some("EDITOR"));
    assert_eq!(drafts.status, 403);
    let challenge = drafts.header("www-authenticate").unwrap();
    assert!(challenge.ends_with(r#"error="insufficient_scope", scope="drafts""#), "{challenge}");
}

#[test]
fn authz_keeps_a_tenant_to_its_own() {
    let (_envoy, mut client) = start("authz-tenant");
    let editor = token("EDITOR");
    let mut ask = |path| client.send(&Request::get(path).bearer(&editor)).unwrap();
    assert_eq!(ask("/tenants/acme/a").status, 200);
    assert_eq!(ask("/tenants/acme/%2e%2e/other/a").status, 403);
    let other = ask("/tenants/other/a");
    assert_eq!(other.status, 403);
    assert_eq!(other.header("content-type").as_deref(), Some("application/problem+json"));
    let problem: Value = serde_json::from_slice(&other.body).unwrap();
    assert_eq!(problem["type"], "https://demo.example/problems/not-yours");
    assert_eq!(client.send(&Request::get("/")).unwrap().status, 403);
}

#[test]
fn authz_has_envoy_judge_its_conditions() {
    let (_envoy, mut client) = start("authz-cel");
    let mut ask = |request: Request| client.send(&request).unwrap().status;
    let prod = || Request::get("/orders").with("x-env", "prod");
    assert_eq!(ask(Request::get("/")), 200);
    assert_eq!(ask(prod().with("x-tier", "3")), 200);
    assert_eq!(ask(prod().with("x-tier", "2")), 403);
    assert_eq!(ask(prod()), 403);
    let mut upload = |size: usize| {
        let mut request = Request::new("POST", "/upload");
        request.body = vec![b'a'; size];
        ask(request)
    };
    assert_eq!(upload(5), 200);
    assert_eq!(upload(2000), 403);
    // Without a body there is no length to tell.
    assert_eq!(ask(Request::new("POST", "/upload")), 403);
}

#[test]
fn authz_tells_what_would_be_and_refuses_nothing() {
    let (envoy, mut client) = start("authz-dry-run");
    for (path, proposed) in [
        ("/", "not_allowed"),
        ("/shop/cart", "allowed:only-the-shop:0"),
        ("/shop/old", "denied:no-old-pages:0"),
    ] {
        let response = client.send(&Request::get(path)).unwrap();
        assert_eq!(response.status, 200, "{path}");
        let line = envoy.access_log().of(&response).unwrap();
        assert_eq!(line.text("authz_dry_run").as_deref(), Some(proposed), "{path}");
    }
    let counted = |labels| envoy.admin().metric("outrigger_authz_dry_run_total", labels).unwrap();
    assert_eq!(counted(&[("rule", "no-old-pages:0"), ("reason", "denied")]), 1);
    assert_eq!(counted(&[("rule", "none"), ("reason", "not_allowed")]), 1);
}

/// With curl, as the harness's own client knows no TLS.
#[test]
fn authz_lets_one_service_account_in() {
    let (envoy, mut client) = start("authz-service-account");
    assert_eq!(client.send(&Request::get("/")).unwrap().status, 403);
    let url = format!("https://{}/", envoy.listener("demo").unwrap());
    let status = |account: &str, method: &str| {
        let certificate = workspace::root().join(format!("envoy-configs/certs/{account}.pem"));
        let output = std::process::Command::new("curl")
            .args(["-sk", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, "--cert"])
            .args([certificate.as_os_str(), url.as_ref()])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(status("cart", "GET"), "200");
    assert_eq!(status("cart", "DELETE"), "403");
    assert_eq!(status("other", "GET"), "403");
}

/// What README.md has its readers paste.
#[test]
fn the_tokens_in_the_readme_are_good() {
    let (envoy, mut client) = start("chain");
    let readme =
        std::fs::read_to_string(workspace::root().join("envoy-configs/README.md")).unwrap();
    let token = |name| readme.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    for (name, status, version) in [("TOKEN=", 403, "v1"), ("ADMIN=", 200, "v2")] {
        let response = client.send(&Request::get("/admin").bearer(token(name))).unwrap();
        let line = envoy.access_log().of(&response).unwrap();
        assert_eq!(response.status, status, "{name}: {line:?}");
        let seen = body(&mut client, &Request::get("/checkout/17").bearer(token(name)));
        assert_eq!(seen["version"], version, "{name}");
    }
}

#[test]
fn ratelimit_admits_five_and_says_when_to_come_back() {
    let (_envoy, mut client) = start("ratelimit");
    for request in [Request::get("/search").with("x-api-key", "k1"), Request::get("/search")] {
        for _ in 0..5 {
            assert_eq!(client.send(&request).unwrap().status, 200);
        }
        let limited = client.send(&request).unwrap();
        assert_eq!(limited.status, 429);
        let seconds: u64 = limited.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    assert_eq!(client.send(&Request::get("/elsewhere")).unwrap().status, 200);
}

/// The statuses of so many of the same request.
fn statuses(client: &mut Client, request: &Request, times: usize) -> Vec<u16> {
    (0..times).map(|_| client.send(request).unwrap().status).collect()
}

#[test]
fn ratelimit_per_client_spares_health_checks_and_tells_what_is_left() {
    let (_envoy, mut client) = start("ratelimit-per-client");
    let root = Request::get("/");
    let first = client.send(&root).unwrap();
    let policy = "\"per-client/1s\";q=5;w=1, \"per-client/60s\";q=100;w=60";
    assert_eq!(first.header("ratelimit-policy").unwrap(), policy);
    // As many as it takes, should the machine be slow: five a second come back.
    let refused = poll::until(poll::DEADLINE, "a refusal", || {
        let response = client.send(&root).unwrap();
        (response.status == 429).then_some(response)
    });
    let refused = refused.unwrap();
    assert_eq!(refused.header("content-type").unwrap(), "application/problem+json");
    assert_eq!(refused.header("x-ratelimit-remaining").unwrap(), "0");
    assert_eq!(statuses(&mut client, &Request::get("/healthz"), 20), [200; 20]);
}

#[test]
fn ratelimit_per_tenant_believes_the_token_alone() {
    let (_envoy, mut client) = start("ratelimit-per-tenant");
    let as_user = |user| Request::get("/").bearer(&demo::token(user, &[]).unwrap());
    assert_eq!(statuses(&mut client, &as_user("ann"), 4), [200, 200, 200, 429]);
    assert_eq!(statuses(&mut client, &as_user("bob"), 4), [200, 200, 200, 429]);
    assert_eq!(statuses(&mut client, &as_user("root"), 10), [200; 10]);
    assert_eq!(statuses(&mut client, &Request::get("/"), 4), [200, 200, 200, 429]);
}

#[test]
fn ratelimit_per_route_counts_by_template() {
    let (_envoy, mut client) = start("ratelimit-per-route");
    for number in 0..20 {
        let path = format!("/customers/7/orders/{number}?page={number}");
        assert_eq!(client.send(&Request::get(&path)).unwrap().status, 200);
    }
    let refused = client.send(&Request::get("/customers/%37//orders/x")).unwrap();
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("x-limited-by").unwrap(), "limited:orders");
    assert_eq!(client.send(&Request::get("/customers/8/orders/1")).unwrap().status, 200);
    let exports = [1, 2, 3].map(|customer| {
        client.send(&Request::get(&format!("/customers/{customer}/export"))).unwrap().status
    });
    assert_eq!(exports, [200, 200, 429]);
}

#[test]
fn ratelimit_login_counts_wrong_passwords_only() {
    let (_envoy, mut client) = start("ratelimit-login");
    let login = |password| {
        Request::new("POST", "/login").with("x-name", "ann").with("x-password", password)
    };
    assert_eq!(statuses(&mut client, &login("right"), 10), [200; 10]);
    assert_eq!(statuses(&mut client, &login("wrong"), 3), [401; 3]);
    assert_eq!(statuses(&mut client, &login("right"), 2), [429; 2]);
    let refused = client.send(&login("right")).unwrap();
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((30..=60).contains(&wait), "{wait}");
    assert_eq!(client.send(&Request::get("/")).unwrap().status, 200);
}

#[test]
fn ratelimit_concurrency_lets_two_reports_be_made_at_the_same_time() {
    let (envoy, mut client) = start("ratelimit-concurrency");
    let address = envoy.listener("demo").unwrap();
    let report = |tenant: &str| Request::get("/reports").with("x-tenant", tenant);
    let of = |tenant: &str| {
        let request = report(tenant);
        std::thread::spawn(move || Client::new(address).send(&request).unwrap())
    };
    let all: Vec<_> = ["acme", "acme", "acme", "other", "acme"].map(of).into_iter().collect();
    let all: Vec<_> = all.into_iter().map(|thread| thread.join().unwrap()).collect();
    let mut statuses: Vec<u16> = all.iter().map(|response| response.status).collect();
    assert_eq!(statuses.remove(3), 200, "another tenant");
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 429, 429]);
    let refused = all.iter().find(|response| response.status == 429).unwrap();
    assert_eq!(refused.header("retry-after").unwrap(), "1");
    let policy = "\"reports-at-once\";q=2;qu=\"concurrent-requests\"";
    assert_eq!(refused.header("ratelimit-policy").unwrap(), policy);
    assert_eq!(refused.header("ratelimit").unwrap(), "\"reports-at-once\";r=0");
    assert_eq!(client.send(&report("acme")).unwrap().status, 200);
    let labels = [("rule", "reports-at-once"), ("reason", "concurrency_limited")];
    let counted = envoy.admin().metric("outrigger_ratelimit_decisions_total", &labels);
    assert_eq!(counted, Ok(2));
}

#[test]
fn ratelimit_shadow_refuses_nobody_and_says_whom_it_would_have() {
    let (envoy, mut client) = start("ratelimit-shadow");
    let last = (0..5).map(|_| client.send(&Request::get("/")).unwrap()).last().unwrap();
    assert_eq!(last.status, 200);
    assert_eq!(last.header("x-limited-by").unwrap(), "admitted:old,shadow_limited:new");
    let line = envoy.access_log().of(&last).unwrap();
    assert_eq!(line.text("ratelimit").unwrap(), "admitted:old,shadow_limited:new");
    let labels = [("rule", "new"), ("reason", "shadow_limited")];
    let counted = envoy.admin().metric("outrigger_ratelimit_decisions_total", &labels);
    assert_eq!(counted, Ok(3));
}

#[test]
fn canary_keeps_to_its_choice_whatever_the_client_says() {
    let (_envoy, mut client) = start("canary");
    let mut versions = Vec::new();
    for number in 0..60 {
        let request = Request::get("/checkout").with("x-user", format!("user-{number}"));
        let seen = body(&mut client, &request);
        let choosing = request.with("x-canary-checkout", "v2").with("x-canary-checkout", "v2");
        let again = body(&mut client, &choosing);
        assert_eq!(seen["version"], again["version"]);
        assert_eq!(seen["version"], again["x-canary-checkout"]);
        versions.push(seen["version"].as_str().unwrap().to_owned());
    }
    let second = versions.iter().filter(|version| *version == "v2").count();
    assert!((5..=30).contains(&second), "{second} of 60 is no quarter");
}

/// The versions that users get to check out with.
fn versions(client: &mut Client, users: [&str; 5]) -> Vec<Value> {
    let mut version = |user: &str| {
        let said = body(client, &Request::get("/checkout").with("x-user", user));
        said.get("version").cloned().unwrap_or_default()
    };
    users.map(&mut version).to_vec()
}

const USERS: [&str; 5] = ["ann", "bob", "carol", "dave", "eve"];

#[test]
fn canary_ramps_by_the_clock() {
    let (_envoy, mut client) = start("canary-ramp");
    assert_eq!(versions(&mut client, USERS), ["v2", "v1", "v1", "v1", "v2"]);
}

#[test]
fn canary_pins_users_under_weights_of_the_route() {
    let (_envoy, mut client) = start("canary-weights");
    for _ in 0..3 {
        assert_eq!(versions(&mut client, USERS), ["v1", "v2", "v2", "v1", "v1"]);
    }
    let asked = Request::get("/checkout").with("x-user", "ann").with("x-checkout-bucket", "99");
    assert_eq!(body(&mut client, &asked)["version"], "v1");
}

/// The token that the file's own comment has its readers paste.
fn preview_token() -> String {
    let path = workspace::root().join("envoy-configs/canary-preview.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().find_map(|line| line.strip_prefix("#   TOKEN=")).unwrap().to_owned()
}

#[test]
fn canary_lets_testers_choose_who_have_a_token() {
    let (envoy, mut client) = start("canary-preview");
    let (token, checkout) = (preview_token(), || Request::get("/checkout").with("x-user", "ann"));
    assert_eq!(body(&mut client, &checkout())["version"], "v1");
    let forced = body(&mut client, &checkout().with("x-preview", &token));
    assert_eq!((&forced["version"], &forced["x-preview"]), (&"v2".into(), &Value::Null));
    for asking in [
        checkout().with("x-preview", "v2"),
        checkout().with("x-canary-checkout", "v2"),
        checkout().with("x-preview", &token).with("x-preview", &token),
        checkout().with("x-preview", format!("{token},{token}")),
        checkout().with("X-Preview", token.replace(":v2:", ":v1:")),
    ] {
        let seen = body(&mut client, &asking);
        assert_eq!((&seen["version"], &seen["x-preview"]), (&"v1".into(), &Value::Null));
    }
    assert_eq!(body(&mut client, &checkout().with("x-plan", "beta"))["version"], "v2");
    // A link is enough: the browser keeps it.
    let by_link = Request::get(&format!("/checkout?a=1&preview={token}"));
    let response = client.send(&by_link).unwrap();
    let seen: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!((&seen["version"], &seen["path"]), (&"v2".into(), &"/checkout?a=1".into()));
    let cookies = response.headers.iter().filter(|(name, _)| name == "set-cookie");
    let cookies: Vec<_> = cookies.map(|(_, value)| String::from_utf8_lossy(value)).collect();
    let ours = format!("preview={token}; Max-Age=28800; Path=/; SameSite=Lax; HttpOnly");
    assert_eq!(cookies, ["theirs=1", &ours]);
    let later = Request::get("/checkout").with("cookie", format!("a=1; preview={token}"));
    let seen = body(&mut client, &later);
    assert_eq!((&seen["version"], &seen["cookie"]), (&"v2".into(), &"a=1".into()));
    let counted = envoy.admin().metric(
        "outrigger_canary_decisions_total",
        &[("rule", "checkout"), ("reason", "override")],
    );
    assert_eq!(counted, Ok(3));
}

#[test]
fn canary_carries_a_decision_through_an_application() {
    let (_envoy, mut client) = start("canary-roles");
    let expected = ["v1", "v1", "v1", "v1", "v2"];
    for (user, version) in USERS.into_iter().zip(expected) {
        let own = Request::get("/").with("x-user", user).with("baggage", "color=blue;p, size=%20");
        let forged = own
            .clone()
            .with("x-canary-checkout", "v2")
            .with("X-Canary-Checkout", "v2")
            .with("baggage", "outrigger.canary=checkout:v2~other:v3");
        for request in [own, forged] {
            let seen = body(&mut client, &request);
            let baggage = format!("color=blue;p,size=%20,outrigger.canary=checkout:{version}");
            assert_eq!(seen["version"], version, "{user}: {seen}");
            assert_eq!(seen["x-canary-checkout"], version);
            assert_eq!(seen["baggage"], baggage);
            assert_eq!(seen["x-user"], Value::Null, "the application forwards baggage alone");
        }
    }
}

/// With curl, by the socket of the listener in front of the application.
#[test]
fn canary_believes_the_peer_that_is_named_and_no_other() {
    let folder = Folder::temporary().unwrap();
    let socket = folder.path().join("upstream-app");
    let bootstrap = Bootstrap::anywhere("canary-roles", folder.path()).unwrap();
    let _envoy = Envoy::start_in(folder, &bootstrap, 1).unwrap();
    for (account, version) in [("cart", "v2"), ("other", "v1")] {
        let certificate = workspace::root().join(format!("envoy-configs/certs/{account}.pem"));
        let output = std::process::Command::new("curl")
            .args(["-sk", "-H", "baggage: outrigger.canary=checkout:v2", "--unix-socket"])
            .args([socket.as_os_str(), "--cert".as_ref(), certificate.as_os_str()])
            .arg("https://app.example/")
            .output()
            .unwrap();
        let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(seen["version"], version, "{account}");
    }
}

#[test]
fn canary_leads_by_filter_state() {
    let (_envoy, mut client) = start("canary-filter-state");
    assert_eq!(versions(&mut client, USERS), ["v1", "v1", "v1", "v1", "v2"]);
    let asked = Request::get("/checkout").with("x-user", "ann").with("x-canary-checkout", "v2");
    assert_eq!(body(&mut client, &asked)["version"], "v1");
}

#[test]
fn canary_takes_a_version_off_that_fails_and_lets_it_back() {
    let (envoy, mut client) = start("canary-guard");
    // How many of sixty users are answered by v2, and how many are by nobody.
    let mut round = |fail: &str| {
        let mut answered = |user: usize| {
            let request = Request::get("/checkout").with("x-user", user.to_string());
            let response = client.send(&request.with("x-fail", fail)).unwrap();
            (response.text().contains(r#""version":"v2""#), response.status == 503)
        };
        let answers: Vec<_> = (1..=60).map(&mut answered).collect();
        let count = |which: fn(&(bool, bool)) -> bool| answers.iter().filter(|a| which(a)).count();
        (count(|answer| answer.0), count(|answer| answer.1))
    };
    let (all, failed) = round("no");
    assert!((15..45).contains(&all) && failed == 0, "{all} and {failed} of 60");
    // The guard may take it off before all have asked: whoever still gets v2 gets its failure.
    let (second, unanswered) = round("yes");
    assert!(second == unanswered && (1..=all).contains(&second), "{second}, {unanswered} of {all}");
    let mut until = |what: &str, fail: &str, v2: usize| {
        poll::until(poll::DEADLINE, what, || (round(fail) == (v2, 0)).then_some(())).unwrap();
    };
    until("v2 to be off", "yes", 0);
    until("v2 to come back", "no", all);
    let labels = |result| [("rollout", "checkout"), ("variant", "v2"), ("result", result)];
    let metric = |name: &str, result| envoy.admin().metric(name, &labels(result)).unwrap();
    assert_eq!(metric("outrigger_canary_guard_total", "ejected"), 1);
    assert_eq!(metric("outrigger_canary_guard_total", "recovered"), 1);
    assert!(metric("outrigger_canary_routes_total", "as_meant") > 0);
}

#[test]
fn telemetry_counts_by_route_and_says_so_in_the_access_log() {
    let (envoy, mut client) = start("telemetry");
    for path in ["/checkout/17", "/checkout/18", "/elsewhere"] {
        let response = client.send(&Request::get(path)).unwrap();
        let route = envoy.access_log().of(&response).unwrap().text("http_route");
        let expected = path.starts_with("/checkout").then(|| "/checkout/{order}".to_owned());
        assert_eq!(route, expected);
    }
    let metrics = envoy.admin().prometheus().unwrap();
    for line in [
        r#"http_server_requests_total{http_route="/checkout/{order}",http_request_method="GET",outcome="ok"} 2"#,
        r#"http_server_requests_total{http_route="_other",http_request_method="GET",outcome="ok"} 1"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }
}

#[test]
fn telemetry_red_counts_by_tenant_and_logs_what_is_worth_a_line() {
    let (envoy, mut client) = start("telemetry-red");
    let mut ask = |path: &str, tenant: &str| {
        client.send(&Request::get(path).with("x-tenant", tenant)).unwrap()
    };
    for (path, tenant) in [("/orders/1", "acme"), ("/orders/none", "acme"), ("/search", "globex")] {
        ask(path, tenant);
    }
    let failed = ask("/fail?token=secret", "acme");
    let line = envoy.access_log().of(&failed).unwrap();
    for (name, value) in [("log", "error"), ("path", "/fail?token=REDACTED"), ("error_type", "503")]
    {
        assert_eq!(line.text(name).as_deref(), Some(value));
    }
    for line in [
        r#"http_server_requests_total{http_route="/orders/{order}",http_request_method="GET",outcome="ok",http_response_status_class="2xx",tenant="acme"} 1"#,
        r#"http_server_requests_total{http_route="/orders/{order}",http_request_method="GET",outcome="client_error",http_response_status_class="4xx",tenant="acme"} 1"#,
        r#"http_server_requests_total{http_route="/search",http_request_method="GET",outcome="ok",http_response_status_class="4xx",tenant="globex"} 1"#,
        r#"http_server_requests_total{http_route="_other",http_request_method="GET",outcome="server_error",http_response_status_class="5xx",error_type="503",tenant="acme"} 1"#,
        r#"http_server_slo_requests_total{http_route="_other",http_request_method="GET",tenant="acme",slo="errors",verdict="bad"} 1"#,
        r#"http_server_request_duration_milliseconds_bucket{http_route="/search",http_request_method="GET",outcome="ok",le="+Inf"} 1"#,
    ] {
        // Histograms are merged when statistics are flushed.
        poll::until(poll::DEADLINE, line, || {
            let metrics = envoy.admin().prometheus().ok()?;
            metrics.lines().any(|found| found == line).then_some(())
        })
        .unwrap();
    }
    let metrics = envoy.admin().prometheus().unwrap();
    assert!(metrics.contains(r#"le="7500""#) && !metrics.contains("=.="), "{metrics}");
}

#[test]
fn telemetry_begins_a_trace_at_the_edge_and_tells_which() {
    let (envoy, mut client) = start("telemetry-trace");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = Request::get("/")
        .with("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .with("b3", format!("{trace}-00f067aa0ba902b7-1"))
        .with("baggage", "tenant=acme");
    let response = client.send(&request).unwrap();
    let seen: Value = serde_json::from_slice(&response.body).unwrap();
    let sent = seen["traceparent"].as_str().unwrap();
    assert!(sent.ends_with("-03") && !sent.contains(trace), "{sent}");
    assert_eq!((&seen["b3"], &seen["baggage"]), (&Value::Null, &Value::Null));
    assert_eq!(response.header("traceresponse").as_deref(), Some(sent));
    let line = envoy.access_log().of(&response).unwrap();
    assert!(sent.contains(&line.text("trace_id").unwrap()));
    assert!(sent.contains(&line.text("span_id").unwrap()));
    assert_eq!(line.text("tenant"), None);
}

#[test]
fn telemetry_tells_a_collector_and_nobody_else() {
    let (envoy, mut client) = start("telemetry-otlp");
    for order in 1..4 {
        body(&mut client, &Request::get(&format!("/orders/{order}")).with("x-tenant", "acme"));
    }
    poll::until(poll::DEADLINE, "points that were sent", || {
        let sent = [("result", "sent")];
        let sent = envoy.admin().metric("outrigger_telemetry_points_total", &sent).ok()?;
        (sent > 0).then_some(())
    })
    .unwrap();
    let metrics = envoy.admin().prometheus().unwrap();
    assert!(!metrics.contains("http_server_") && !metrics.contains("=.="), "{metrics}");
}

#[test]
fn the_chain_and_the_suite_keep_what_the_tour_promises() {
    for name in ["chain", "suite"] {
        let (envoy, mut client) = start(name);
        for stop in stops().unwrap() {
            let seen = visit(&envoy, &mut client, &stop).unwrap();
            let (who, meaning) = (stop.who, stop.meaning);
            assert!(seen.kept, "{name}: {who}, {meaning}: {seen:?}");
        }
        for metric in METRICS {
            let value = envoy.admin().metric(metric.name, metric.labels).unwrap();
            assert!(value > 0, "{name}: {metric:?}");
        }
        let metrics = envoy.admin().prometheus().unwrap();
        assert!(!metrics.contains("=.="), "a label that no stats_tags cut out:\n{metrics}");
    }
}

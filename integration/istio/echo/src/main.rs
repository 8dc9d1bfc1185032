//! The demo mesh's application. It answers with JSON: its name and version, the path and the headers that reached it,
//! and, where NEXT names another such, what that one answered to the same request. FORWARD names the headers that it hands
//! on, by commas; without it, all. `x-echo-status` asks the last for a status, and `x-echo-fail: checkout/v2` has version
//! v2 of checkout fail. NAME, VERSION, NEXT, FORWARD and PORT are its whole configuration, but for two: where
//! DOCUMENT is set, that is what is answered to `/document`, as it is; and what is sent to the path that RECORD names
//! goes to its log, a line each, and the answer is empty. Told to end (SIGTERM), it serves on for two seconds.

use std::convert::Infallible;
use std::env::var;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, TRANSFER_ENCODING,
};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

struct Echo {
    name: String,
    version: String,
    next: Option<String>,
    forward: Option<Vec<HeaderName>>,
    document: Option<String>,
    record: Option<String>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// How long it goes on when it is told to end, while proxies learn that it will be gone.
const GRACE: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let echo = Arc::new(Echo {
        name: var("NAME").unwrap_or_else(|_| "echo".to_owned()),
        version: var("VERSION").unwrap_or_default(),
        next: var("NEXT").ok(),
        forward: var("FORWARD")
            .ok()
            .map(|names| names.split(',').map(str::parse).collect())
            .transpose()?,
        document: var("DOCUMENT").ok(),
        record: var("RECORD").ok(),
        client: Client::builder(TokioExecutor::new()).build_http(),
    });
    let port: u16 = var("PORT").unwrap_or_else(|_| "8080".to_owned()).parse()?;
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut ending = pin!(async {
        terminate.recv().await;
        sleep(GRACE).await;
    });
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = &mut ending => return Ok(()),
        };
        let echo = Arc::clone(&echo);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let echo = Arc::clone(&echo);
                async move { Ok::<_, Infallible>(echo.answer(request).await) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            if let Err(failure) = served.await {
                eprintln!("echo: {failure}");
            }
        });
    }
}

impl Echo {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if let Some(document) =
            self.document.as_ref().filter(|_| request.uri().path() == "/document")
        {
            return Response::new(Full::new(Bytes::from(document.clone())));
        }
        if self.record.as_deref() == Some(request.uri().path()) {
            return record(request).await;
        }
        let headers = shown(request.headers());
        let asked = headers
            .get("x-echo-status")
            .and_then(Value::as_str)
            .and_then(|status| status.parse().ok());
        let mut status = asked.unwrap_or(StatusCode::OK);
        let path = request.uri().to_string();
        let own = format!("{}/{}", self.name, self.version);
        let fails = headers.get("x-echo-fail").is_some_and(|whose| *whose == own);
        if fails {
            status = StatusCode::INTERNAL_SERVER_ERROR;
        }
        let mut body =
            json!({ "name": self.name, "version": self.version, "path": path, "headers": headers });
        if let Some(next) = self.next.as_ref().filter(|_| path != "/healthz" && !fails) {
            let (answered, text) = self
                .ask(next, request)
                .await
                .unwrap_or_else(|failure| (StatusCode::BAD_GATEWAY, json!(failure.to_string())));
            status = answered;
            if let Some(body) = body.as_object_mut() {
                body.insert(
                    "next".to_owned(),
                    json!({ "status": answered.as_u16(), "body": text }),
                );
            }
        }
        let mut response = Response::new(Full::new(Bytes::from(format!("{body}\n"))));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
        response
    }

    /// What it hands on of what it was sent.
    fn handed_on(&self, mut headers: HeaderMap) -> HeaderMap {
        for hop in [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING] {
            headers.remove(hop);
        }
        let Some(names) = &self.forward else { return headers };
        let mut some = HeaderMap::new();
        for name in names {
            for value in headers.get_all(name) {
                some.append(name, value.clone());
            }
        }
        some
    }

    /// The same request, one further.
    async fn ask(&self, next: &str, request: Request<Incoming>) -> Result<(StatusCode, Value)> {
        let (mut parts, body) = request.into_parts();
        parts.uri = format!("{next}{}", parts.uri).parse()?;
        parts.headers = self.handed_on(parts.headers);
        let body = body.collect().await?.to_bytes();
        let response = self.client.request(Request::from_parts(parts, Full::new(body))).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        let text = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        Ok((status, text))
    }
}

/// Headers by name, the values of several copies in one.
fn shown(all: &HeaderMap) -> Map<String, Value> {
    let mut headers = Map::new();
    for (name, value) in all {
        let value = String::from_utf8_lossy(value.as_bytes());
        let before = headers.get(name.as_str()).and_then(Value::as_str);
        let joined =
            before.map_or_else(|| value.to_string(), |before| format!("{before}, {value}"));
        headers.insert(name.as_str().to_owned(), joined.into());
    }
    headers
}

/// Writes a request to the log: its headers, and its body in hexadecimal digits.
async fn record(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let headers = shown(request.headers());
    let mut response = Response::new(Full::new(Bytes::new()));
    match request.into_body().collect().await {
        Ok(body) => {
            let body: String = body.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            println!("{}", json!({ "headers": headers, "body": body }));
        }
        Err(failure) => {
            eprintln!("echo: {failure}");
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
    }
    response
}

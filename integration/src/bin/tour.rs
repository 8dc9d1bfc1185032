//! `make run`: the demo of `envoy-configs/chain.yaml`, asked and explained, and then left running for you.

use std::io::{IsTerminal as _, Write as _};
use std::net::TcpListener;
use std::process::ExitCode;

use integration::folder::Folder;
use integration::tour::{METRICS, Metric, Stop, Visit, stops, visit};
use integration::{Bootstrap, Client, Envoy, demo};

fn main() -> ExitCode {
    match tour() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(broken) => {
            eprintln!("tour: rows not as promised: {broken}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tour: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Takes the tour and says how many promises were broken.
fn tour() -> Result<usize, String> {
    let folder = Folder::temporary()?;
    let mut bootstrap = Bootstrap::anywhere("chain", folder.path())?;
    bootstrap.listen("demo", port("PORT", 10_000)?)?;
    bootstrap.listen_admin(port("ADMIN_PORT", 9901)?)?;
    let envoy = Envoy::start_in(folder, &bootstrap, 2)?;
    let address = envoy.listener("demo")?;
    println!(
        "envoy-configs/chain.yaml at http://{address}: telemetry, authz, ratelimit, canary, router\n"
    );

    let mut client = Client::new(address);
    let mut rows = Vec::new();
    for stop in stops()? {
        let seen = visit(&envoy, &mut client, &stop)?;
        rows.push(row(&stop, &seen));
    }
    for metric in METRICS {
        let value = envoy.admin().metric(metric.name, metric.labels)?;
        rows.push(series(metric, value));
    }
    let painted = std::io::stdout().is_terminal();
    print(&rows, painted);
    let broken = rows.iter().filter(|row| !row.kept).count();
    let once = std::env::var_os("TOUR").is_some_and(|tour| tour == "once");
    if painted && std::io::stdin().is_terminal() && !once {
        stay(&envoy)?;
    }
    if broken > 0 {
        eprintln!("\nthe end of Envoy's log:\n{}", envoy.log_tail());
    }
    Ok(broken)
}

/// The port that a variable asks for, else the usual one, else any.
fn port(variable: &str, usual: u16) -> Result<u16, String> {
    let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    match std::env::var(variable) {
        Ok(text) => match text.parse() {
            Ok(port) if port > 0 && free(port) => Ok(port),
            Ok(port) if port > 0 => Err(format!("{variable}={port}: somebody listens there")),
            _ => Err(format!("{variable}={text}: expected a port from 1 to 65535")),
        },
        Err(std::env::VarError::NotPresent) => Ok(if free(usual) { usual } else { 0 }),
        Err(error) => Err(format!("{variable}: {error}")),
    }
}

/// One line of the table.
struct Row {
    kept: bool,
    cells: [String; 5],
}

const HEAD: [&str; 5] = ["REQUEST", "STATUS", "DECIDED BY", "REASON:RULE", "WHAT HAPPENED"];

fn row(stop: &Stop, seen: &Visit) -> Row {
    let times = if stop.times > 1 { format!(" (× {})", stop.times) } else { String::new() };
    let (method, path) = (&stop.request.method, &stop.request.path);
    let headers = stop.request.headers.iter().filter(|(name, _)| name != "authorization");
    let headers: String = headers
        .map(|(name, value)| format!(", {name}: {}", String::from_utf8_lossy(value)))
        .collect();
    let upstream = seen.version.as_ref().map(|version| format!(" from {version}"));
    let meaning = if seen.kept {
        stop.meaning.to_owned()
    } else {
        let expected = stop.version.map(|version| format!(" from {version}")).unwrap_or_default();
        format!("EXPECTED {}{expected}, {}", stop.status, stop.evidence)
    };
    let cells = [
        format!("{}: {method} {path}{headers}{times}", stop.who),
        format!("{}{}", seen.status, upstream.unwrap_or_default()),
        stop.filter.to_owned(),
        seen.evidence.clone(),
        meaning,
    ];
    Row { kept: seen.kept, cells }
}

fn series(metric: Metric, value: u64) -> Row {
    let labels: Vec<String> =
        metric.labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let line = format!("{}{{{}}} {value}", metric.name, labels.join(","));
    let meaning = if value > 0 { metric.meaning } else { "EXPECTED more than 0" };
    let none = String::new;
    Row { kept: value > 0, cells: [line, none(), none(), none(), meaning.to_owned()] }
}

/// Prints the table; metrics take a line of their own, below it.
fn print(rows: &[Row], painted: bool) {
    let (metrics, requests): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.cells.iter().skip(1).take(3).all(String::is_empty));
    let mut widths = HEAD.map(str::len);
    for row in &requests {
        for (width, cell) in widths.iter_mut().zip(&row.cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String; 5]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    println!("    {}", line(&HEAD.map(str::to_owned)));
    for row in requests {
        println!("{} {}", mark(row.kept, painted), line(&row.cells));
    }
    println!();
    for Row { kept, cells: [series, .., meaning] } in metrics {
        println!("{} {series}  {meaning}", mark(*kept, painted));
    }
}

fn mark(kept: bool, painted: bool) -> &'static str {
    match (kept, painted) {
        (true, true) => "\x1b[32m ok\x1b[0m",
        (false, true) => "\x1b[31mNOT\x1b[0m",
        (true, false) => " ok",
        (false, false) => "NOT",
    }
}

/// Says what to try, and waits for Enter or Ctrl-C.
fn stay(envoy: &Envoy) -> Result<(), String> {
    let (address, admin) = (envoy.listener("demo")?, envoy.admin().address());
    let (log, access_log) = (envoy.log_path(), envoy.access_log());
    println!(
        "\nIt stays up. In another terminal:\n\n\
         TOKEN={}\n\
         curl -i http://{address}/checkout/17 -H \"authorization: Bearer $TOKEN\"\n\
         for i in 1 2 3 4 5 6; do curl -i http://{address}/search -H \"authorization: Bearer $TOKEN\"; done\n\
         curl -i -X DELETE http://{address}/ -H \"authorization: Bearer $TOKEN\"\n\
         curl -s http://{admin}/stats/prometheus | grep -E '^(outrigger|http_server)_'\n\n\
         admin       http://{admin}\n\
         access log  tail -f {}\n\
         envoy's log {}\n",
        demo::token("carol", &[])?,
        access_log.path().display(),
        log.display(),
    );
    print!("Enter or Ctrl-C ends it. ");
    let _ = std::io::stdout().flush();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map(drop).map_err(|error| error.to_string())
}

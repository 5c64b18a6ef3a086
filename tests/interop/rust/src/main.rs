//! The qapi crate's two clients: the blocking one, and the one for tokio.
//!
//! `qapi-client SCENARIO SOCKET [SECRET]` plays one scenario and prints the result, one fact a line.

use std::os::unix::net::UnixStream;
use std::{env, io};

use futures::StreamExt;
use qapi::futures::QmpStreamTokio;
use qapi::qmp::{self, Event, QMPCapability};
use qapi::{ExecuteError, Qmp, Stream};

fn name(event: &Event) -> String {
    let shown = format!("{event:?}");
    let end = shown.find(' ').unwrap_or(shown.len());
    shown[..end].to_string()
}

fn refusal<T>(result: Result<T, ExecuteError>) -> String {
    match result {
        Ok(_) => "not refused".to_string(),
        Err(ExecuteError::Qapi(error)) => format!("{:?}: {}", error.class, error.desc),
        // Either error may occur: the command was sent before or after the end was known.
        Err(ExecuteError::Io(error)) => match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => "ended".to_string(),
            kind => format!("{kind:?}"),
        },
    }
}

/// Runs typed commands one after the other, and collects their events.
fn blocking(path: &str) -> Result<(), ExecuteError> {
    let socket = UnixStream::connect(path)?;
    let mut qmp = Qmp::new(Stream::new(io::BufReader::new(&socket), &socket));
    let greeting = qmp.handshake()?;
    println!("greeting {:?}", greeting.version);
    println!("capabilities {:?}", greeting.capabilities);
    println!("version {:?}", qmp.execute(&qmp::query_version {})?.qemu);
    println!("status {:?}", qmp.execute(&qmp::query_status {})?);
    qmp.execute(&qmp::cont {})?;
    qmp.execute(&qmp::stop {})?;
    println!("stopped {:?}", qmp.execute(&qmp::query_status {})?);
    println!("events {:?}", qmp.events().map(|event| name(&event)).collect::<Vec<_>>());
    let nope = qmp::device_del { id: "nope".to_string() };
    println!("refused {}", refusal(qmp.execute(&nope)));
    println!("commands {}", qmp.execute(&qmp::query_commands {})?.len());
    println!("schema {}", qmp.execute(&qmp::query_qmp_schema {})?.len());
    qmp.nop()?;
    Ok(())
}

/// Sends a secret in each typed command that takes one.
fn secrets(path: &str, secret: &str) -> Result<(), ExecuteError> {
    let socket = UnixStream::connect(path)?;
    let mut qmp = Qmp::new(Stream::new(io::BufReader::new(&socket), &socket));
    qmp.handshake()?;
    let text = |place: &str| format!("{secret}-{place}");
    qmp.execute(&qmp::change_vnc_password { password: text("vnc") })?;
    let device = "ring".to_string();
    qmp.execute(&qmp::ringbuf_write { format: None, data: text("ring"), device })?;
    let command_line = format!("set_password vnc {}", text("human"));
    qmp.execute(&qmp::human_monitor_command { cpu_index: None, command_line })?;
    let value = text("property").into();
    let (path, property) = ("/machine".to_string(), "append".to_string());
    qmp.execute(&qmp::qom_set { path, property, value })?;
    let opaque = Some(text("opaque"));
    println!("refused {}", refusal(qmp.execute(&qmp::add_fd { fdset_id: None, opaque })));
    Ok(())
}

/// Runs commands of several tasks, and reads a stream of events to its end.
async fn concurrent(path: &str) -> Result<(), ExecuteError> {
    let negotiation = QmpStreamTokio::open_uds(path).await?;
    println!("oob {}", negotiation.capabilities.supports_oob());
    let stream = negotiation.negotiate_caps([QMPCapability::oob]).await?;
    let (service, mut events) = stream.into_parts();
    let heard = tokio::spawn(async move {
        let mut names = Vec::new();
        while let Some(Ok(event)) = events.next().await {
            names.push(name(&event));
        }
        names
    });
    let size = |number: u32| {
        service.execute(qmp::qom_get {
            path: format!("/objects/m{number}"),
            property: "size".to_string(),
        })
    };
    let sizes = futures::join!(size(1), size(2), size(3), size(4));
    println!("sizes {} {} {} {}", sizes.0?, sizes.1?, sizes.2?, sizes.3?);
    let (resumed, absent, status, stopped) = futures::join!(
        service.execute(qmp::cont {}),
        service.execute(qmp::device_del { id: "nope".to_string() }),
        service.execute(qmp::query_status {}),
        service.execute(qmp::stop {}),
    );
    resumed?;
    stopped?;
    println!("refused {}", refusal(absent));
    println!("status {:?}", status?);
    service.execute(qmp::quit {}).await?;
    println!("events {:?}", heard.await.expect("the events' task"));
    println!("after {}", refusal(service.execute(qmp::query_status {}).await));
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ExecuteError> {
    let args: Vec<String> = env::args().collect();
    match args[1].as_str() {
        "blocking" => blocking(&args[2]),
        "concurrent" => concurrent(&args[2]).await,
        "secrets" => secrets(&args[2], &args[3]),
        other => panic!("there is no scenario {other}"),
    }
}
